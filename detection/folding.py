"""What an expression amounts to when everything in it is written in the script: text put together from pieces.

A small, bounded evaluator over syntax trees: it calls nothing of the script and imports nothing for it.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from detection.decoders import DECODERS, MAX_TEXT, METHODS, PLAIN_METHODS, PURE_FUNCTIONS, DecodeRefused

Folded = str | bytes | int | tuple[Any, ...]
MAX_STEPS = 200_000
"""For one script. Beyond that nothing folds any more: an honest script needs a hundredth."""
MAX_ITEMS = 100_000
MAX_BITS = 4096

_OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.BitXor: "xor",
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.FloorDiv: "floordiv",
    ast.RShift: "rshift",
}


class Unknown(Exception):
    """The expression depends on something that only a run would tell."""


class Folder:
    """Evaluates the constant expressions of one script."""

    def __init__(self, constants: Mapping[str, ast.expr], qualify: Callable[[ast.expr], frozenset[str]]) -> None:
        self._constants = constants
        """Names that are assigned exactly once, and what they are assigned."""
        self._qualify = qualify
        self._steps = 0
        self._open: set[str] = set()
        """Names that are being looked up: one that depends on itself is unknown."""
        self._known: dict[int, Folded | None] = {}

    def forget(self) -> None:
        """Start anew: names mean more now than when something could not be folded."""
        self._known.clear()
        self._steps = 0

    @property
    def exhausted(self) -> bool:
        """Whether something was left unfolded because it is too much."""
        return self._steps > MAX_STEPS

    def fold(self, node: ast.expr) -> Folded | None:
        """The value of `node`, None where it cannot be known."""
        if id(node) not in self._known:
            try:
                self._known[id(node)] = self._value(node, {})
            except (Unknown, DecodeRefused, TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
                self._known[id(node)] = None
        return self._known[id(node)]

    def text(self, node: ast.expr) -> str | None:
        """The text that `node` amounts to, None where it is something else or unknown."""
        value = self.fold(node)
        return value if isinstance(value, str) else None

    def _value(self, node: ast.expr, local: Mapping[str, Any]) -> Any:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise Unknown
        evaluate = self._EVALUATORS.get(type(node))
        if evaluate is None:
            raise Unknown
        return _bounded(evaluate(self, node, local))

    def _constant(self, node: ast.Constant, _: Mapping[str, Any]) -> Any:
        if not isinstance(node.value, str | bytes | int):
            raise Unknown
        return node.value

    def _name(self, node: ast.Name, local: Mapping[str, Any]) -> Any:
        if node.id in local:
            return local[node.id]
        if node.id in self._open or node.id not in self._constants:
            raise Unknown
        self._open.add(node.id)
        try:
            return self._value(self._constants[node.id], {})
        finally:
            self._open.discard(node.id)

    def _binary(self, node: ast.BinOp, local: Mapping[str, Any]) -> Any:
        left, right = self._value(node.left, local), self._value(node.right, local)
        if isinstance(node.op, ast.Mult):
            return _multiplied(left, right)
        if isinstance(node.op, ast.Mod):
            if isinstance(left, str) and len(left) > 1000:
                raise Unknown
            return left % right if isinstance(left, int) else _formatted(left, right)
        if type(node.op) not in _OPERATORS:
            raise Unknown
        return getattr(operator, _OPERATORS[type(node.op)])(left, right)

    def _unary(self, node: ast.UnaryOp, local: Mapping[str, Any]) -> Any:
        value = self._value(node.operand, local)
        if isinstance(value, int) and isinstance(node.op, ast.USub | ast.Invert):
            return -value if isinstance(node.op, ast.USub) else ~value
        raise Unknown

    def _joined(self, node: ast.JoinedStr, local: Mapping[str, Any]) -> Any:
        parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        if any(isinstance(part, ast.FormattedValue) and part.format_spec is not None for part in node.values):
            raise Unknown
        return "".join(str(self._value(part, local)) for part in parts)

    def _display(self, node: ast.List | ast.Tuple, local: Mapping[str, Any]) -> Any:
        if len(node.elts) > MAX_ITEMS:
            raise Unknown
        return tuple(self._value(element, local) for element in node.elts)

    def _subscript(self, node: ast.Subscript, local: Mapping[str, Any]) -> Any:
        value = self._value(node.value, local)
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            return value[slice(*(None if bound is None else self._value(bound, local) for bound in bounds))]
        return value[self._value(node.slice, local)]

    def _named(self, node: ast.NamedExpr, local: Mapping[str, Any]) -> Any:
        return self._value(node.value, local)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, local: Mapping[str, Any]) -> Any:
        generator, *more = node.generators
        if more or generator.ifs or generator.is_async or not isinstance(generator.target, ast.Name):
            raise Unknown
        items = self._value(generator.iter, local)
        name = generator.target.id
        return tuple(self._value(node.elt, {**local, name: item}) for item in items)

    def _call(self, node: ast.Call, local: Mapping[str, Any]) -> Any:
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise Unknown
        for name in self._qualify(node.func):
            if name == "builtins.map":
                return self._mapped(node, local)
            function = DECODERS.get(name) or PURE_FUNCTIONS.get(name)
            if function is not None:
                return function(*(self._value(argument, local) for argument in node.args))
        if isinstance(node.func, ast.Attribute):
            return self._method(node.func, node.args, local)
        raise Unknown

    def _method(self, function: ast.Attribute, arguments: list[ast.expr], local: Mapping[str, Any]) -> Any:
        name = function.attr
        if name not in METHODS and name not in PLAIN_METHODS:
            raise Unknown
        owner = self._value(function.value, local)
        if not isinstance(owner, str | bytes):
            raise Unknown
        values = [self._value(argument, local) for argument in arguments]
        return METHODS[name](owner, *values) if name in METHODS else getattr(owner, name)(*values)

    def _mapped(self, node: ast.Call, local: Mapping[str, Any]) -> Any:
        function, items = node.args
        if isinstance(function, ast.Lambda) and len(function.args.args) == 1:
            name = function.args.args[0].arg
            return tuple(self._value(function.body, {**local, name: item}) for item in self._value(items, local))
        known = [PURE_FUNCTIONS[name] for name in self._qualify(function) if name in PURE_FUNCTIONS]
        if not known:
            raise Unknown
        return tuple(known[0](item) for item in self._value(items, local))

    _EVALUATORS: ClassVar[dict[type[ast.expr], Callable[[Folder, Any, Mapping[str, Any]], Any]]] = {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.BinOp: _binary,
        ast.UnaryOp: _unary,
        ast.JoinedStr: _joined,
        ast.List: _display,
        ast.Tuple: _display,
        ast.Subscript: _subscript,
        ast.NamedExpr: _named,
        ast.ListComp: _comprehension,
        ast.GeneratorExp: _comprehension,
        ast.Call: _call,
    }


def _multiplied(left: Any, right: Any) -> Any:
    sized, times = (right, left) if isinstance(left, int) else (left, right)
    if isinstance(sized, int):
        return sized * times
    if len(sized) * times > MAX_TEXT:
        raise Unknown
    return sized * times


def _formatted(template: Any, values: Any) -> str:
    if not isinstance(template, str) or "*" in template or any(part[:1].isdigit() for part in template.split("%")[1:]):
        raise Unknown  # widths make text of any size
    return template % values


def _bounded(value: Any) -> Any:
    if isinstance(value, str | bytes) and len(value) > MAX_TEXT:
        raise Unknown
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise Unknown
    return value
