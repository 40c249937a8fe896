"""What operators make of values that are known, within bounds: no text, number or list of any size is made."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from detection.decoders import MAX_TEXT, PURE_FUNCTIONS
from detection.node_kinds import TEXTS

MAX_ITEMS = 100_000
MAX_BITS = 4096
_PLAIN_CONVERSION = re.compile(r"%(?:%|(?:\([^()%]*\))?[-+ #]?[0-9]{0,2}[acdiorsxX])")


class Unknown(Exception):
    """The expression depends on something that only a run would tell."""


_OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.BitXor: "xor",
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.FloorDiv: "floordiv",
    ast.RShift: "rshift",
}


def _is_in(one: Any, several: Any) -> bool:
    return one in several


COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.GtE: operator.ge,
    ast.In: _is_in,
}
"""What a comparison of known values is."""


def combined(how: ast.operator, left: Any, right: Any) -> Any:
    """`left` and `right` put together. Raises Unknown, or what Python raises for such operands."""
    if isinstance(how, ast.Mult):
        return _multiplied(left, right)
    if isinstance(how, ast.Mod):
        return left % right if isinstance(left, int) else _formatted(left, right)
    if isinstance(how, ast.Div) and isinstance(left, str) and isinstance(right, str):
        return PURE_FUNCTIONS["os.path.join"](left, right)  # of paths
    if isinstance(how, ast.Pow | ast.LShift):
        return _grown(how, left, right)
    if type(how) not in _OPERATORS:
        raise Unknown
    return getattr(operator, _OPERATORS[type(how)])(left, right)


def _multiplied(left: Any, right: Any) -> Any:
    sized, times = (right, left) if isinstance(left, int) else (left, right)
    if isinstance(sized, int):
        return sized * times
    if len(sized) * times > MAX_TEXT:
        raise Unknown
    return sized * times


def _grown(how: ast.operator, left: Any, right: Any) -> int:
    if not (isinstance(left, int) and isinstance(right, int) and 0 <= right <= MAX_BITS):
        raise Unknown
    if isinstance(how, ast.Pow) and left.bit_length() * right > MAX_BITS:
        raise Unknown
    return left**right if isinstance(how, ast.Pow) else left << right


def _formatted(template: Any, values: Any) -> str:
    if not isinstance(template, str) or len(template) > 1000:
        raise Unknown
    if any(_PLAIN_CONVERSION.match(template, place.start()) is None for place in re.finditer("%%?", template)):
        raise Unknown  # widths and precisions make text of any size
    return template % values


def bounded(value: Any) -> Any:
    """The value, if it is of a size that anybody needs. Raises Unknown."""
    if isinstance(value, TEXTS) and len(value) > MAX_TEXT:
        raise Unknown
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise Unknown
    if isinstance(value, tuple):
        items = cast("tuple[Any, ...]", value)
        if len(items) > MAX_ITEMS:
            raise Unknown
        return items
    return value
