"""What a value was made from: the machine, files, the environment, answers of the model. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice

from detection.node_kinds import NAMED
from detection.origin_names import ORIGINS
from detection.reaching import asks_model, reached_from
from detection.resolving import Resolver
from detection.sources import Origin, callee

_METHODS = {"read_text": "files", "read_bytes": "files", "iterdir": "listing", "rglob": "listing", "scandir": "listing"}
_OWN = frozenset({"__file__"})
_SHOWING_CODE = frozenset({"getsource", "getsourcelines"})
_BESIDE = frozenset({"parent", "parents", "dirname", "with_name"})
"""Ways from the script's file to what lies beside it: data, and not the script."""
MAX_CONSTANTS = 400


_ANSWERS, _SOURCE = frozenset({"answers"}), frozenset({"source"})
_NO_KIND = frozenset[str]()
NOWHERE = Origin(frozenset(), (), ())


def origin(node: ast.expr, resolver: Resolver) -> Origin:
    """The origins of what `node` may be, through names, containers and functions."""
    if isinstance(node, ast.Name):
        return _origin_of_name(node, resolver)
    key = id(node)
    if key not in resolver.origins:
        resolver.origins[key] = NOWHERE  # what a circle adds
        resolver.origins[key] = _origin(reached_from(node, resolver), resolver)
    return resolver.origins[key]


def _origin_of_name(node: ast.Name, resolver: Resolver) -> Origin:
    """What flows into a name is the same wherever it is read; what it means besides is not."""
    if node.id not in resolver.origins:
        resolver.origins[node.id] = NOWHERE
        resolver.origins[node.id] = _origin(islice(reached_from(node, resolver), 1, None), resolver)
    flowing, own = resolver.origins[node.id], _kinds(node, resolver)
    return flowing if own <= flowing.kinds else flowing._replace(kinds=flowing.kinds | own)


def _origin(parts: Iterator[ast.AST], resolver: Resolver) -> Origin:
    kinds: set[str] = set()
    texts: dict[str, None] = {}
    data: dict[bytes, None] = {}
    is_own = is_beside = False
    for part in parts:
        if isinstance(part, NAMED):
            is_beside = is_beside or (type(part) is ast.Attribute and part.attr in _BESIDE)
            known = resolver.kinds.get(id(part))
            if known is None:
                known = resolver.kinds[id(part)] = _kinds(part, resolver)
            if known and type(part) is ast.Name and part.id in _OWN:
                is_own = True
            elif known:
                kinds |= known
        elif isinstance(part, ast.Constant):
            _keep(part.value, texts, data)
    if is_own and not is_beside:
        kinds |= _SOURCE
    return Origin(frozenset(kinds), tuple(texts), tuple(data))


def _keep(value: object, texts: dict[str, None], data: dict[bytes, None]) -> None:
    """Add a literal to those of its kind."""
    if isinstance(value, str) and len(texts) < MAX_CONSTANTS:
        texts[value] = None
    elif isinstance(value, bytes):
        data[value] = None


def _shows_own_code(call: ast.Call, resolver: Resolver) -> bool:
    """`inspect.getsource(score)` where the script defines `score` and gives that name to nothing else."""
    if callee(call.func) not in _SHOWING_CODE or len(call.args) != 1 or not isinstance(call.args[0], ast.Name):
        return False
    name = call.args[0].id
    return resolver.sources.defines(name) and not resolver.meanings(call.args[0]) and not resolver.sources.of.get(name)


def _kinds(part: ast.Name | ast.Attribute | ast.Call, resolver: Resolver) -> frozenset[str]:
    if isinstance(part, ast.Call):
        if _shows_own_code(part, resolver):
            resolver.kinds[id(part.func)] = _NO_KIND
        return _ANSWERS if asks_model(part, resolver) else _NO_KIND
    if isinstance(part, ast.Name) and part.id in _OWN:
        return _SOURCE
    meanings = resolver.meanings(part)
    found = {ORIGINS[name] for name in meanings if name in ORIGINS} if meanings else set[str]()
    if isinstance(part, ast.Attribute):
        if part.attr in _METHODS:
            found.add(_METHODS[part.attr])
        elif part.attr in {"__file__", "__path__", "__spec__", "__cached__"}:
            found.add("library")
    return frozenset(found) if found else _NO_KIND
