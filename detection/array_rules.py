"""Views of arrays that reach past the array's own memory. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from detection.node_kinds import SEQUENCES
from detection.notes import Note, note_at
from detection.resolving import Resolver

MAX_RATIO = 64
"""A window over an array shows each element a few times; what shows more than this shows something else."""
MAX_SHOWN = 4096
"""Of an array of unknown size, in steps that were counted by hand instead of taken from the array."""
_MAKERS = frozenset({"numpy.zeros", "numpy.ones", "numpy.empty", "numpy.full"})
VIEWS = frozenset({"numpy.lib.stride_tricks.as_strided", "torch.as_strided"})


def view_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`as_strided(numpy.zeros(1), shape=(1 << 20,), strides=(1,))`."""
    shapes = [*node.args[1:2], *(each.value for each in node.keywords if each.arg in {"shape", "size"})]
    strides = [*node.args[2:3], *(each.value for each in node.keywords if each.arg in {"strides", "stride"})]
    if not node.args or not shapes or any(0 in resolver.integers(each) for each in strides):
        return
    own = _size(node.args[0], resolver)
    parts = shapes[0].elts if isinstance(shapes[0], SEQUENCES) else shapes[:1]
    strides = [part for each in strides for part in (each.elts if isinstance(each, SEQUENCES) else [each])]
    shown = max((number for each in parts for number in resolver.integers(each)), default=0)
    counted = any(number > 0 for each in strides for number in resolver.integers(each))
    if (own and shown > own * MAX_RATIO) or (not own and counted and shown >= MAX_SHOWN):
        yield note_at("native_code", node, evidence="as_strided")


def _size(node: ast.expr, resolver: Resolver) -> int:
    """How many elements an array has, 0 where that is not known."""
    sources = resolver.sources.of.get(node.id, []) if isinstance(node, ast.Name) else [node]
    sizes = [
        max(resolver.integers(each.args[0]), default=0)
        for each in sources[:8]
        if isinstance(each, ast.Call) and each.args and resolver.meanings(each.func) & _MAKERS
    ]
    return min(sizes, default=0)
