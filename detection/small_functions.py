"""What a small function of the script returns for known arguments: decoders are often written out by hand.

Only assignments, loops over known items and branches on known conditions, within a budget of steps.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from detection.syntax_tree import within

MAX_STATEMENTS = 30
"""Of one body: a longer function is no decoder."""
MAX_LIST = 2_000
Local = dict[str, Any]
Evaluate = Callable[[ast.expr, Mapping[str, Any]], Any]


class Unreadable(Exception):
    """The function does something that only a run would tell."""


class _Returned(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


def returned(function: ast.FunctionDef | ast.Lambda, arguments: Sequence[Any], evaluate: Evaluate) -> Any:
    """The value of a call. Raises Unreadable, and whatever `evaluate` raises."""
    local = _bound(function.args, arguments, evaluate)
    if isinstance(function, ast.Lambda):
        return evaluate(function.body, local)
    if sum(isinstance(node, ast.stmt) for node in within(function)) > MAX_STATEMENTS:
        raise Unreadable
    try:
        _perform(function.body, local, evaluate)
    except _Returned as done:
        return done.value
    raise Unreadable


def _bound(parameters: ast.arguments, arguments: Sequence[Any], evaluate: Evaluate) -> Local:
    names = [each.arg for each in (*parameters.posonlyargs, *parameters.args)]
    if parameters.vararg is not None:
        return {**dict(zip(names, arguments, strict=False)), parameters.vararg.arg: tuple(arguments[len(names) :])}
    if len(arguments) > len(names):
        raise Unreadable
    defaults = parameters.defaults[len(parameters.defaults) - (len(names) - len(arguments)) :]
    if len(defaults) < len(names) - len(arguments):
        raise Unreadable
    filled = [evaluate(default, {}) for default in defaults] if len(arguments) < len(names) else []
    return dict(zip(names, [*arguments, *filled], strict=True))


def _perform(body: Sequence[ast.stmt], local: Local, evaluate: Evaluate) -> None:
    for statement in body:
        match statement:
            case ast.Return(value=ast.expr() as value):
                raise _Returned(evaluate(value, local))
            case ast.For(target=target, iter=items, body=inner, orelse=[]):
                for item in evaluate(items, local):
                    _assign(target, item, local)
                    _perform(inner, local, evaluate)
            case ast.If(test=test, body=inner, orelse=other):
                _perform(inner if evaluate(test, local) else other, local, evaluate)
            case ast.Expr(value=ast.Constant()):
                pass  # its docstring
            case _:
                _change(statement, local, evaluate)


def _change(statement: ast.stmt, local: Local, evaluate: Evaluate) -> None:
    match statement:
        case ast.Assign(targets=[target], value=value):
            _assign(target, evaluate(value, local), local)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            local[name] = evaluate(value, local)
        case ast.AugAssign(target=ast.Name(id=name) as target, op=operation, value=value):
            before = ast.copy_location(ast.Name(name, ast.Load()), target)
            local[name] = evaluate(ast.copy_location(ast.BinOp(before, operation, value), statement), local)
        case ast.Expr(value=ast.Call(func=ast.Attribute(ast.Name(id=name), "append"), args=[value])):
            local[name] = (*_tuple(local.get(name)), evaluate(value, local))
        case _:
            raise Unreadable


def _assign(target: ast.expr, value: Any, local: Local) -> None:
    if isinstance(target, ast.Name):
        local[target.id] = value
        return
    parts = _tuple(value)
    if not isinstance(target, ast.Tuple) or len(parts) != len(target.elts):
        raise Unreadable
    for each, part in zip(target.elts, parts, strict=True):
        _assign(each, part, local)


def _tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise Unreadable
    items = cast("tuple[Any, ...]", value)
    if len(items) > MAX_LIST:
        raise Unreadable
    return items
