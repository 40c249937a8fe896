"""How a walled process becomes the script's interpreter: by the one execve that its wall lets pass."""

from __future__ import annotations

import os

from sandbox.controls.kernel import ControlUnavailable
from sandbox.controls.native import system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_EXECVE, _MMAP = 59, 9
_READ_AND_WRITE, _PRIVATE_AND_ANONYMOUS = 3, 0x22
_PAGE = 4096
_LOWEST, _HIGHEST = 1 << 32, 1 << 46
_TRIES = 20


class Start:
    """Where the recorder lets the first execve pass and no other: nothing special."""

    def execve(self, arguments: list[str], environment: dict[str, str]) -> NoReturn:
        """Become `arguments[0]`. Raises OSError."""
        os.execve(arguments[0], arguments, environment)  # noqa: S606 - no shell is what is wanted


class SealedStart(Start):
    """Where nobody answers for the filter: it lets an execve pass whose path is at an address that nobody can guess.

    The address is drawn anew for each run, from 2^45 places, and the memory there is gone after the execve. A script
    that wanted another would have to guess it, at one refused call each.
    """

    def __init__(self) -> None:
        import ctypes  # for such boxes alone, since it is dear to load; now, while files can still be opened

        self._ctypes = ctypes
        for _ in range(_TRIES):
            page = (_LOWEST + _drawn() % (_HIGHEST - _LOWEST)) & ~(_PAGE - 1)
            got = system_call(_MMAP, page, 2 * _PAGE, _READ_AND_WRITE, _PRIVATE_AND_ANONYMOUS, -1, 0)
            if got == page:
                self.address = page + _drawn() % _PAGE
                return
        raise ControlUnavailable("no memory can be had at an address of our choice")

    def execve(self, arguments: list[str], environment: dict[str, str]) -> NoReturn:
        """Become `arguments[0]`. Raises OSError."""
        path = os.fsencode(arguments[0])
        if len(path) >= _PAGE:
            raise OSError(36, "the interpreter's path is too long")
        self._ctypes.memmove(self.address, path + b"\0", len(path) + 1)
        variables = [f"{name}={value}" for name, value in environment.items()]
        system_call(_EXECVE, self.address, self._pointers(arguments), self._pointers(variables))
        raise AssertionError("an execve that succeeds does not return")

    def _pointers(self, texts: list[str]) -> object:
        return (self._ctypes.c_char_p * (len(texts) + 1))(*map(os.fsencode, texts), None)


def _drawn() -> int:
    """A number of 64 bits: `secrets` would load half the library."""
    return int.from_bytes(os.urandom(8), "little")
