"""JSON as others understand it, read from whoever may have written anything."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import JsonValue

from domain.limits import MAX_RESULT_DEPTH


class TooDeep(ValueError):
    """It is nested deeper than a result may be."""


def read_strictly(text: str) -> JsonValue:
    """The value. Raises ValueError for NaN, infinities, duplicate keys and lone surrogates, TooDeep for its depth."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise TooDeep from None
    _check_depth(value)
    if "\\ud" in text or "\\uD" in text:
        _check_characters(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _check_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    for _ in range(MAX_RESULT_DEPTH + 1):
        level = [child for each in level for child in _children(each)]
        if not level:
            return
    raise TooDeep


def _children(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_characters(value: JsonValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text has half a surrogate pair") from None
