"""What a name was last assigned where it is read, as far as the order of the text tells. Standard library only.

Branches and loops are not followed: the nearest assignment above, in the nearest function around, is taken for the
value. That is right for text put together from pieces, and a guess elsewhere.
"""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from detection.node_kinds import ASSIGNMENTS, CALLABLES, ITERATIONS, PLAIN_ASSIGNMENTS, SCOPES, SEQUENCES, TARGETS
from detection.syntax_tree import Nodes

Place = tuple[int, int]
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
_MODULE = 0
_START: Place = (0, 0)


class Bindings:
    """Every assignment of a script, by scope and place."""

    def __init__(self, nodes: Nodes) -> None:
        self._starts: list[Place] = [_START]
        self._scopes: list[int] = [_MODULE]
        """From `_starts[n]` on the text belongs to `_scopes[n]`."""
        self._parents: dict[int, int] = {}
        self._classes: dict[str, int | None] = {}
        self._functions: dict[str, ast.FunctionDef | ast.Lambda | None] = {}
        self._values: dict[tuple[int, str], list[tuple[Place, ast.expr | None]]] = {}
        self._lay_out(nodes.of(*SCOPES))
        for node in nodes.of(ast.Assign, *ASSIGNMENTS, *ITERATIONS, *CALLABLES):
            for target, place, value in _assignments(node):
                self._bind(target, place, value)
        for bound in self._values.values():
            bound.sort(key=lambda each: each[0])

    def value_of(self, node: ast.Name | ast.Attribute) -> ast.expr | None:
        """The expression that `node` was assigned last, None where that cannot be known."""
        if isinstance(node, ast.Name):
            return self._last(node.id, (node.lineno, node.col_offset))
        owner = self._classes.get(node.value.id) if isinstance(node.value, ast.Name) else None
        values = self._values.get((owner, node.attr), ()) if owner is not None else ()
        return values[-1][1] if values else None

    def function(self, name: str) -> ast.FunctionDef | ast.Lambda | None:
        """The only function of that name, None where there is none or more than one."""
        return self._functions.get(name)

    def method(self, node: ast.Attribute) -> ast.FunctionDef | ast.Lambda | None:
        """The static method that `Class.name` means, None where it is no such thing."""
        if not isinstance(node.value, ast.Name) or node.value.id not in self._classes:
            return None
        own = self.function(node.attr)
        decorators = own.decorator_list if isinstance(own, ast.FunctionDef) else []
        return own if any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in decorators) else None

    def _last(self, name: str, place: Place) -> ast.expr | None:
        scope = self._scope_at(place)
        own = True
        while True:
            values = self._values.get((scope, name), [])
            # what an outer scope assigns, it may assign after the inner one was defined: its last word counts
            found = bisect_left(values, place, key=lambda each: each[0]) if own else len(values)
            if found:
                return values[found - 1][1]
            if scope == _MODULE:
                return None
            scope, own = self._parents[scope], False

    def _scope_at(self, place: Place) -> int:
        return self._scopes[bisect_right(self._starts, place) - 1]

    def _lay_out(self, scopes: list[_Scope]) -> None:
        around: list[tuple[Place, int]] = []
        for node in sorted(scopes, key=lambda node: (_start(node), [-each for each in _end(node)])):
            self._leave(around, _start(node))
            self._parents[id(node)] = around[-1][1] if around else _MODULE
            around.append((_end(node), id(node)))
            self._enter(_start(node), id(node))
            if isinstance(node, ast.ClassDef):
                self._classes[node.name] = None if node.name in self._classes else id(node)
            elif isinstance(node, ast.FunctionDef):
                self._functions[node.name] = None if node.name in self._functions else node
        self._leave(around, (1 << 60, 0))

    def _leave(self, around: list[tuple[Place, int]], place: Place) -> None:
        while around and around[-1][0] <= place:
            end, _ = around.pop()
            self._enter(end, around[-1][1] if around else _MODULE)

    def _enter(self, place: Place, scope: int) -> None:
        self._starts.append(place)
        self._scopes.append(scope)

    def _bind(self, target: ast.expr | ast.arg, place: Place, value: ast.expr | None) -> None:
        if isinstance(target, TARGETS):
            name = target.id if isinstance(target, ast.Name) else target.arg
            scope = self._scope_at((target.lineno, target.col_offset))
            self._values.setdefault((scope, name), []).append((place, value))
            if isinstance(value, ast.Lambda):
                self._functions[name] = None if name in self._functions else value
        elif isinstance(target, ast.Starred):
            self._bind(target.value, place, None)
        elif isinstance(target, SEQUENCES):
            parts = value.elts if isinstance(value, SEQUENCES) else []
            matching = len(parts) == len(target.elts) and not any(isinstance(p, ast.Starred) for p in parts)
            for number, each in enumerate(target.elts):
                self._bind(each, place, parts[number] if matching else None)


def _assignments(node: ast.AST) -> Iterator[tuple[ast.expr | ast.arg, Place, ast.expr | None]]:
    """Targets, the place from which on the value holds, and the value."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, _end(node), node.value
    elif isinstance(node, PLAIN_ASSIGNMENTS):
        yield node.target, _end(node), node.value
    elif isinstance(node, ast.AugAssign):
        yield node.target, _end(node), _sum(node)
    elif isinstance(node, ITERATIONS):
        yield node.target, (node.target.lineno, node.target.col_offset), None
    elif isinstance(node, CALLABLES):
        yield from _parameters(node.args)


def _sum(node: ast.AugAssign) -> ast.expr | None:
    """`name += "x"` as the expression `name + "x"`."""
    if not isinstance(node.target, ast.Name):
        return None
    before = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
    return ast.copy_location(ast.BinOp(before, node.op, node.value), node)


def _parameters(arguments: ast.arguments) -> Iterator[tuple[ast.arg, Place, ast.expr | None]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    lacking = len(positional) - len(arguments.defaults)
    defaults = [*[None] * lacking, *arguments.defaults, *arguments.kw_defaults]
    for argument, default in zip([*positional, *arguments.kwonlyargs], defaults, strict=True):
        yield argument, (argument.lineno, argument.col_offset), default
    for argument in (arguments.vararg, arguments.kwarg):
        if argument is not None:
            yield argument, (argument.lineno, argument.col_offset), None


def _start(node: _Scope) -> Place:
    return node.lineno, node.col_offset


def _end(node: ast.stmt | ast.expr) -> Place:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
