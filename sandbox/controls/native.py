"""System calls and memory, by what `ctypes` itself is made of: to load the rest takes longer than to raise the wall."""

from __future__ import annotations

import os
from _ctypes import (
    FUNCFLAG_CDECL,
    FUNCFLAG_USE_ERRNO,
    CFuncPtr,
    _SimpleCData,  # pyright: ignore[reportPrivateUsage] - `ctypes` takes it from there too
    addressof,
    dlopen,
    dlsym,
    get_errno,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    _Simple = _SimpleCData[Any]
else:
    _Simple = _SimpleCData


_FAILED = (1 << 64) - 1
"""-1, as it stands in a register."""


class _Word(_Simple):
    _type_ = "P"  # of the types that hold 64 bits the one that can be forgotten again: the others have twins


class _Byte(_Simple):
    _type_ = "c"


class _Syscall(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO


_SYSCALL: Any = _Syscall(dlsym(dlopen(None, 0), "syscall"))  # type: ignore[arg-type]
_SYSCALL.restype = _Word  # an address does not fit into an int; said by its class, it would never be forgotten


class Room:
    """Memory that a call may write to, zeroed."""

    __slots__ = ("_first", "address", "bytes")

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(size)
        self._first = _Byte.from_buffer(self.bytes)
        self.address = addressof(self._first)


def system_call(number: int, *arguments: object) -> int:
    """Make a system call. Arguments are integers, or bytes that are only read. Raises OSError."""
    result: int = _SYSCALL(_Word(number), *map(_as_word, arguments)) or 0
    if result == _FAILED:
        number_of_error = get_errno()
        raise OSError(number_of_error, os.strerror(number_of_error))
    return result


def _as_word(argument: object) -> object:
    return _Word(argument & _FAILED) if isinstance(argument, int) else argument
