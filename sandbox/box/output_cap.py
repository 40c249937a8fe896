"""What is kept of a script's output: whole lines up to the limit; the rest is counted and thrown away."""

from __future__ import annotations

MAX_LINE = 8192
"""Bytes; a longer line goes on in the next."""
MAX_LINES = 50_000
"""Of one run: each is an event that somebody has to keep."""
FLOOD = 256
"""A script that writes so many times what it may is ended."""
_CONTINUATION = 0x80
"""The first two bits of the bytes in a character of UTF-8 that are not its first."""


class OutputCap:
    """Counts both streams of a script and cuts them into lines."""

    def __init__(self, limit: int) -> None:
        self.written = 0
        self.truncated = False
        self._limit = limit
        self._kept = 0
        self._lines = 0
        self._partial: dict[str, bytes] = {}

    @property
    def flooded(self) -> bool:
        """Whether so much was written that the run should end."""
        return self.written > FLOOD * self._limit

    def take(self, stream: str, data: bytes) -> list[str]:
        """The lines that are complete with `data`."""
        self.written += len(data)
        room = self._limit - self._kept
        self.truncated = self.truncated or len(data) > room
        data = data[: max(room, 0)]
        self._kept += len(data)
        *lines, rest = (self._partial.pop(stream, b"") + data).split(b"\n")
        *pieces, rest = _pieces(rest)
        if rest:
            self._partial[stream] = rest
        return self._bounded([piece for line in lines for piece in _pieces(line)] + pieces)

    def rest(self, stream: str) -> list[str]:
        """What was written without a line's end, once nothing more comes."""
        rest = self._partial.pop(stream, b"")
        return self._bounded([rest] if rest else [])

    def _bounded(self, lines: list[bytes]) -> list[str]:
        room = MAX_LINES - self._lines
        self.truncated = self.truncated or len(lines) > room
        lines = lines[: max(room, 0)]
        self._lines += len(lines)
        return [line.decode("utf-8", "replace") for line in lines]


def _pieces(line: bytes) -> list[bytes]:
    """A line as pieces of at most MAX_LINE, no character torn apart. The last one may be empty."""
    pieces: list[bytes] = []
    while len(line) > MAX_LINE:
        cut = MAX_LINE
        while cut > MAX_LINE - 4 and line[cut] & 0xC0 == _CONTINUATION:
            cut -= 1
        pieces.append(line[:cut])
        line = line[cut:]
    return [*pieces, line]
