"""Rules about files that are made to be run. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from detection.node_kinds import NAMES_AND_MEMBERS
from detection.notes import Note, note_at
from detection.resolving import Resolver
from detection.sources import callee
from detection.syntax_tree import within

_BITS = 0o6111
_NAMES = frozenset({"S_IRWXU", "S_IRWXG", "S_IRWXO", "S_IXUSR", "S_IXGRP", "S_IXOTH", "S_IEXEC", "S_ISUID", "S_ISGID"})


def mode_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`os.chmod(path, 0o4755)`, `path.chmod(0o755)`: no evaluation makes programs."""
    yield from _notes(node, node.args[-1:], resolver)


def creation_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`os.open(path, os.O_CREAT | os.O_WRONLY, 0o755)`."""
    yield from _notes(node, node.args[2:3], resolver)


def _notes(node: ast.Call, positional: list[ast.expr], resolver: Resolver) -> Iterator[Note]:
    named = [each.value for each in node.keywords if each.arg == "mode"]
    if any(_lets_run(each, resolver) for each in named or positional):
        yield note_at("makes_executable", node)


def _lets_run(mode: ast.expr, resolver: Resolver) -> bool:
    """Whether a mode, or a part of it, lets a file be run: `os.stat(path).st_mode | stat.S_IEXEC`."""
    sources = resolver.sources.of.get(mode.id, [])[:8] if isinstance(mode, ast.Name) else []
    parts = [part for each in (mode, *sources) for part in within(each, 50)]
    if any(isinstance(part, ast.Invert | ast.BitAnd) for part in _operators(parts)):
        return False  # it takes something away
    numbers = {number for part in parts if isinstance(part, ast.expr) for number in resolver.integers(part)}
    named = {callee(part) for part in parts if isinstance(part, NAMES_AND_MEMBERS)}
    return any(number & _BITS and 0 < number < 1 << 16 for number in numbers) or bool(named & _NAMES)


def _operators(parts: list[ast.AST]) -> Iterator[ast.AST]:
    yield from (part.op for part in parts if isinstance(part, ast.BinOp | ast.UnaryOp))
