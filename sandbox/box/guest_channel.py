"""The runner's end of the channel to the script's interpreter: bounded on both ways, and believed in nothing."""

from __future__ import annotations

import os

MAX_ASK = 8 * 1024 * 1024
"""A prompt of the largest size allowed, each character escaped."""
_SMALL = 64 * 1024
_MAX_HEAD = 40
_READ = 256 * 1024

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class GuestSaid:
    """One thing that the script's process claims. `text` is None where it was longer than allowed, or is not ASCII."""

    __slots__ = ("kind", "size", "text")

    def __init__(self, kind: str, size: int, text: str | None) -> None:
        self.kind = kind
        self.size = size
        self.text = text


class GuestChannel:
    r"""Reads `<kind> <size>\n<body>` and writes the same. The descriptor does not block."""

    def __init__(self, descriptor: int, result_bytes: int) -> None:
        self._descriptor = descriptor
        self._bounds = {"ask": MAX_ASK, "result": result_bytes}
        self._data = bytearray()
        self._head: tuple[str, int] | None = None
        self._skip = 0
        self._waiting = bytearray()
        self.broken = False
        """Whether it said something that cannot be understood: nothing more is read."""

    def fileno(self) -> int:
        """The descriptor, to be polled."""
        return self._descriptor

    @property
    def to_write(self) -> bool:
        """Whether something waits for room."""
        return bool(self._waiting)

    def say(self, kind: str, body: bytes) -> None:
        """Send something as soon as there is room."""
        self._waiting += b"%s %d\n%s" % (kind.encode("ascii"), len(body), body)
        self.write()

    def say_raw(self, data: bytes) -> None:
        """Send bytes without a head."""
        self._waiting += data
        self.write()

    def write(self) -> None:
        """Write what there is room for."""
        try:
            while self._waiting:
                del self._waiting[: os.write(self._descriptor, self._waiting[:_READ])]
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()  # its reader is gone

    def read(self) -> Iterable[GuestSaid] | None:
        """What was said since. None at the end."""
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return ()
        except OSError:
            return None
        if not data or self.broken:
            return None
        self._data += data
        return self._parsed()

    def _parsed(self) -> list[GuestSaid]:
        said: list[GuestSaid] = []
        while not self.broken:
            skipped = min(self._skip, len(self._data))
            del self._data[:skipped]
            self._skip -= skipped
            if self._head is None and not self._read_head(said):
                break
            if self._head is None:
                continue
            kind, size = self._head
            if len(self._data) < size:
                break
            body = bytes(self._data[:size])
            del self._data[:size]
            self._head = None
            fit = body.isascii() and b"\n" not in body
            said.append(GuestSaid(kind, size, body.decode("ascii") if fit else None))
        return said

    def _read_head(self, said: list[GuestSaid]) -> bool:
        """Whether there was one; of what is too large, only that."""
        if self._skip:
            return False
        line, found, _ = self._data[:_MAX_HEAD].partition(b"\n")
        if not found:
            self.broken = len(self._data) >= _MAX_HEAD
            return False
        kind, _, digits = line.decode("ascii", "replace").partition(" ")
        if not (digits.isascii() and digits.isdigit()):
            self.broken = True
            return False
        del self._data[: len(line) + 1]
        size = int(digits)
        if size > self._bounds.get(kind, _SMALL):
            self._skip = size
            said.append(GuestSaid(kind, size, None))
        else:
            self._head = (kind, size)
        return True
