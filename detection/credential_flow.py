"""Credentials that reach what `evaluate_model` returns, letter by letter or whole. Standard library only."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator

from detection.node_kinds import CALLS_AND_ITEMS
from detection.origins import origin
from detection.resolving import Resolver
from detection.sources import callee
from detection.static_tables import CREDENTIAL_VARIABLE, ENVIRONMENT_READERS
from detection.syntax_tree import next_level

MAX_FOLLOWED = 400
_TELLING_NOTHING = frozenset({"bool", "len", "isinstance", "type", "id", "callable"})
_KEEPING = frozenset(
    {
        "str",
        "list",
        "tuple",
        "ord",
        "hex",
        "repr",
        "sorted",
        "reversed",
        "dict",
        "int",
        "sum",
        "zip",
        "enumerate",
        "map",
    }
    | {"bytes", "join", "format", "encode", "hexlify", "b64encode", "b85encode", "b32encode", "quote", "dumps"}
    | {"from_bytes"}
)
"""Functions whose result tells what they were given."""


def carries_credential(node: ast.expr, resolver: Resolver) -> bool:
    """Whether a value tells what a credential is: `f"{score}{key}"` does, `bool(key)` does not."""
    waiting: deque[ast.AST] = deque([node])
    seen: set[str] = set()
    for _ in range(MAX_FOLLOWED):
        if not waiting:
            return False
        part = waiting.popleft()
        if isinstance(part, CALLS_AND_ITEMS) and _reads_credential(part, resolver):
            return True
        waiting += _told_by(part)
        for key in _keys(part):
            if key not in seen:
                seen.add(key)
                waiting += resolver.sources.of.get(key, ())
    return False


def _told_by(part: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression that its value tells."""
    if isinstance(part, ast.IfExp):
        yield from (part.body, part.orelse)
    elif isinstance(part, ast.Call):
        name = callee(part.func)
        if name in _TELLING_NOTHING:
            return
        if isinstance(part.func, ast.Attribute):
            yield part.func.value
        if name in _KEEPING:
            yield from part.args
    elif not isinstance(part, ast.Compare | ast.Lambda) and not _is_negation(part):
        yield from next_level([part])


def _is_negation(part: ast.AST) -> bool:
    return isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not)


def _keys(part: ast.AST) -> Iterator[str]:
    if isinstance(part, ast.Name):
        yield part.id
    elif isinstance(part, ast.Attribute):
        yield f".{part.attr}"
    elif isinstance(part, ast.Call) and callee(part.func) not in _TELLING_NOTHING:
        yield f"{callee(part.func)}()"


def _reads_credential(part: ast.Call | ast.Subscript, resolver: Resolver) -> bool:
    if isinstance(part, ast.Subscript):
        named = part.slice if "os.environ" in resolver.meanings(part.value) else None
    else:
        called = resolver.meanings(part.func)
        if part.args and called & {"os.path.expandvars", "posixpath.expandvars", "ntpath.expandvars"}:
            return any(map(CREDENTIAL_VARIABLE.search, origin(part.args[0], resolver).texts))
        named = part.args[0] if part.args and called & ENVIRONMENT_READERS else None
    return named is not None and any(text and CREDENTIAL_VARIABLE.search(text) for text in resolver.texts(named))
