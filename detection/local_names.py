"""Whether a name means a function's own variable instead of the builtin. Standard library only."""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from detection.node_kinds import CALLABLES, COMPREHENSIONS, DEFINITIONS, NAMESPACES
from detection.syntax_tree import next_level

Place = tuple[int, int]
Span = tuple[Place, Place]
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


def local_spans(nodes: Iterable[ast.AST], names: frozenset[str]) -> dict[str, list[Span]]:
    """Where each of `names` is a local variable, in order and without overlaps.

    A local variable never falls back to the builtin. A module's variable does (before it is assigned, or when it never
    is), so those do not count.
    """
    bound = sorted(_places_of(nodes, names))
    if not bound:
        return {}
    spans: dict[str, list[Span]] = {}
    for node in nodes:
        if isinstance(node, CALLABLES):
            for name in _bound_in_function(node) & names if _holds_any(node, bound) else ():
                spans.setdefault(name, []).append(_body_span(node))
        elif isinstance(node, COMPREHENSIONS):
            for name in _bound_in_comprehension(node) & names if _holds_any(node, bound) else ():
                spans.setdefault(name, []).extend(_comprehension_spans(node))
    return {name: _merged(several) for name, several in spans.items()}


def _places_of(nodes: Iterable[ast.AST], names: frozenset[str]) -> Iterator[Place]:
    """Where something binds one of `names`."""
    for node in nodes:
        if isinstance(node, ast.Name):
            if node.id in names and isinstance(node.ctx, ast.Store):
                yield node.lineno, node.col_offset
        elif isinstance(node, ast.arg):
            if node.arg in names:
                yield node.lineno, node.col_offset
        elif isinstance(node, DEFINITIONS) and node.name in names:
            yield node.lineno, node.col_offset


def _holds_any(node: _Function | _Comprehension, places: list[Place]) -> bool:
    """Whether one of some sorted places lies in `node`."""
    start, end = _span(node, node)
    after = bisect_left(places, start)
    return after < len(places) and places[after] < end


def is_local(node: ast.Name, spans: dict[str, list[Span]]) -> bool:
    """Whether `node` lies where its name is a local variable."""
    own = spans.get(node.id, [])
    place = (node.lineno, node.col_offset)
    before = bisect_right(own, place, key=lambda span: span[0])
    return before > 0 and place < own[before - 1][1]


def is_own_class(name: str, nodes: Iterable[ast.AST]) -> bool:
    """Whether `name` is a plain class of the script and never anything else."""
    defined = 0
    for node in nodes:
        if isinstance(node, ast.ClassDef) and node.name == name:
            defined += 1
            if node.decorator_list or node.keywords:
                return False
        elif _binds(node, name):
            return False
    return defined == 1


def _binds(node: ast.AST, name: str) -> bool:
    """Whether a node gives `name` a meaning, by whatever kind of statement."""
    if isinstance(node, ast.Name):
        return node.id == name and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.alias):
        return name == (node.asname or node.name) or node.name == "*"
    return name in {getattr(node, "name", None), getattr(node, "rest", None), getattr(node, "arg", None)}


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _bound_in_function(node: _Function) -> set[str]:
    arguments = node.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    bound = {argument.arg for argument in every if argument is not None}
    if isinstance(node, ast.Lambda):
        return bound
    handed_on: set[str] = set()
    for inner in own_nodes(node.body):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            bound.add(inner.id)
        elif isinstance(inner, DEFINITIONS):
            bound.add(inner.name)
        elif isinstance(inner, ast.Global | ast.Nonlocal):
            handed_on.update(inner.names)
    return bound - handed_on


def own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of a function itself: nested functions, classes and comprehensions have names of their own."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if node.__class__ not in NAMESPACES:
            waiting += next_level([node])


def _bound_in_comprehension(node: _Comprehension) -> set[str]:
    targets = (name for generator in node.generators for name in ast.walk(generator.target))
    return {name.id for name in targets if isinstance(name, ast.Name)}


def _comprehension_spans(node: _Comprehension) -> Iterator[Span]:
    """All of it but the first iterable, which is evaluated outside."""
    results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    first, *others = node.generators
    for part in (
        *results,
        *first.ifs,
        *(each.iter for each in others),
        *(test for each in others for test in each.ifs),
    ):
        yield _span(part, part)


def _body_span(node: _Function) -> Span:
    """The body alone: defaults and decorators are evaluated outside."""
    return _span(node.body, node.body) if isinstance(node, ast.Lambda) else _span(node.body[0], node.body[-1])


def _span(first: ast.expr | ast.stmt, last: ast.expr | ast.stmt) -> Span:
    return (first.lineno, first.col_offset), (last.end_lineno or last.lineno, last.end_col_offset or 0)
