"""Which expressions a value may have been made from: through names, containers and functions. Standard library only."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator

from detection.resolving import Resolver
from detection.sources import callee
from detection.syntax_tree import next_level

MAX_REACHED = 600
"""Expressions. A value that is made from more is made from everything."""
MODEL = "airlock.model"
ASKING = frozenset({"generate", "chat", "agenerate", "achat"})


def reached_from(node: ast.expr, resolver: Resolver) -> Iterator[ast.AST]:
    """`node`, what lies in it, and what flows into its names."""
    waiting: deque[ast.AST] = deque([node])
    seen: set[str] = set()
    for _ in range(MAX_REACHED):
        if not waiting:
            return
        part = waiting.popleft()
        yield part
        waiting += next_level([part])
        for key in _keys(part):
            if key not in seen:
                seen.add(key)
                waiting += resolver.sources.of.get(key, ())


def is_made_from_answers(node: ast.expr, resolver: Resolver) -> bool:
    """Whether an answer of the model may be in the value of `node`."""
    return any(asks_model(part, resolver) for part in reached_from(node, resolver))


def asks_model(part: ast.AST, resolver: Resolver) -> bool:
    """Whether `part` is a call that asks the model."""
    if not isinstance(part, ast.Call) or not isinstance(part.func, ast.Attribute) or part.func.attr not in ASKING:
        return False
    return MODEL in resolver.meanings(part.func.value)


def _keys(part: ast.AST) -> Iterator[str]:
    if isinstance(part, ast.Name):
        yield part.id
    elif isinstance(part, ast.Attribute):
        yield f".{part.attr}"
    elif isinstance(part, ast.Call):
        yield f"{callee(part.func)}()"
