"""Names that are spelled letter by letter, wherever that happens. Standard library only."""

from __future__ import annotations

import ast

from detection.decoders import DECODERS
from detection.node_kinds import NAMES_AND_MEMBERS
from detection.reaching import reached_from
from detection.resolving import Resolver

_SPELLING = (
    frozenset({"builtins.chr", "unicodedata.lookup", "string.ascii_lowercase", "string.ascii_letters"})
    | DECODERS.keys()
)


def is_spelled(node: ast.expr, resolver: Resolver) -> bool:
    """Whether the letters of a name are computed, at whatever distance: `chr(code ^ 3)`, `lookup("...LETTER A")`."""
    return any(
        (isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitXor))
        or (isinstance(part, NAMES_AND_MEMBERS) and bool(resolver.meanings(part) & _SPELLING))
        for part in reached_from(node, resolver)
    )
