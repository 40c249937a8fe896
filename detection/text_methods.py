"""Methods of text, bytes and numbers that constant folding may use, each with bounded output. Standard library only."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from detection.decoders import DecodeRefused, decode, encode

PLAIN_METHODS = frozenset(
    {"join", "lower", "upper", "swapcase", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "hex"}
    | {"title", "capitalize", "casefold"}
)
"""Methods of text and bytes whose output is no larger than what goes in."""


_WIDE_FORMAT = re.compile(r"\{[^{}]*:[^{}]*[0-9{*]")


_FIELD_ACCESS = re.compile(r"\{[^{}]*[.\[]")


def _split(owner: Any, *what: Any) -> tuple[Any, ...]:
    return tuple(owner.split(*what))


def _replace(owner: Any, old: Any, new: Any) -> Any:
    if not old or len(new) > 100:
        raise DecodeRefused
    return owner.replace(old, new)


def _format(owner: str, *values: Any, **named: Any) -> str:
    if _WIDE_FORMAT.search(owner) or _FIELD_ACCESS.search(owner) or owner.count("{") > 100:
        raise DecodeRefused
    return owner.format(*values, **named)


def _translate(owner: Any, table: Any, *delete: Any) -> Any:
    if isinstance(table, dict) and any(_is_long(each) for each in cast("dict[Any, Any]", table).values()):
        raise DecodeRefused
    return owner.translate(table, *delete)


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 100


def _to_bytes(owner: Any, length: int = 1, byteorder: Any = "big") -> bytes:
    if length > 4096:
        raise DecodeRefused
    return owner.to_bytes(length, byteorder)


def _get(owner: Any, key: Any, default: Any = None) -> Any:
    return owner.get(key, default)


def _values(owner: Any) -> tuple[Any, ...]:
    return tuple(owner.values())


def _items(owner: Any) -> tuple[Any, ...]:
    return tuple(owner.items())


def _partition(owner: Any, by: Any) -> tuple[Any, ...]:
    return owner.partition(by)


def _rpartition(owner: Any, by: Any) -> tuple[Any, ...]:
    return owner.rpartition(by)


def _rsplit(owner: Any, *what: Any) -> tuple[Any, ...]:
    return tuple(owner.rsplit(*what))


def _splitlines(owner: Any) -> tuple[Any, ...]:
    return tuple(owner.splitlines())


METHODS: Mapping[str, Callable[..., Any]] = {
    "decode": decode,
    "encode": encode,
    "split": _split,
    "replace": _replace,
    "format": _format,
    "translate": _translate,
    "to_bytes": _to_bytes,
    "get": _get,
    "values": _values,
    "items": _items,
    "partition": _partition,
    "rpartition": _rpartition,
    "rsplit": _rsplit,
    "splitlines": _splitlines,
    "__add__": operator.add,
    "__getitem__": operator.getitem,
}
