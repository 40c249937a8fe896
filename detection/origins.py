"""What a value was made from: the machine, files, the environment, answers of the model. Standard library only."""

from __future__ import annotations

import ast

from detection.node_kinds import NAMED
from detection.origin_names import ORIGINS
from detection.reaching import asks_model, reached_from
from detection.resolving import Resolver
from detection.sources import Origin

_METHODS = {"read_text": "files", "read_bytes": "files", "iterdir": "listing", "rglob": "listing", "scandir": "listing"}
_OWN = frozenset({"__file__"})
MAX_CONSTANTS = 400


NOWHERE = Origin(frozenset(), (), ())


def origin(node: ast.expr, resolver: Resolver) -> Origin:
    """The origins of what `node` may be, through names, containers and functions."""
    key = id(node)
    if key not in resolver.origins:
        resolver.origins[key] = NOWHERE  # what a circle adds
        resolver.origins[key] = _origin(node, resolver)
    return resolver.origins[key]


def _origin(node: ast.expr, resolver: Resolver) -> Origin:
    kinds: set[str] = set()
    texts: dict[str, None] = {}
    data: dict[bytes, None] = {}
    for part in reached_from(node, resolver):
        if isinstance(part, ast.Constant):
            if isinstance(part.value, str) and len(texts) < MAX_CONSTANTS:
                texts[part.value] = None
            elif isinstance(part.value, bytes):
                data[part.value] = None
        elif isinstance(part, NAMED):
            kinds.update(_kinds(part, resolver))
    return Origin(frozenset(kinds), tuple(texts), tuple(data))


def _kinds(part: ast.Name | ast.Attribute | ast.Call, resolver: Resolver) -> set[str]:
    if isinstance(part, ast.Call):
        return {"answers"} if asks_model(part, resolver) else set()
    if isinstance(part, ast.Name) and part.id in _OWN:
        return {"source"}
    found = {ORIGINS[name] for name in resolver.meanings(part) if name in ORIGINS}
    if isinstance(part, ast.Attribute):
        if part.attr in _METHODS:
            found.add(_METHODS[part.attr])
        elif part.attr in {"__file__", "__path__", "__spec__", "__cached__"}:
            found.add("library")
    return found
