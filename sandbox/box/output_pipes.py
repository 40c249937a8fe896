"""The script's standard output and standard error, as far as they may go."""

from __future__ import annotations

import os

from sandbox.box.line_to_worker import LineToWorker
from sandbox.box.output_cap import OutputCap

_READ = 64 * 1024
_STREAMS = ("stdout", "stderr")


class OutputPipes:
    """Reads both, and tells the worker their lines."""

    def __init__(self, out: int, err: int, limit: int, line: LineToWorker) -> None:
        self._cap = OutputCap(limit)
        self._line = line
        self.descriptors = dict(zip((out, err), _STREAMS, strict=True))
        """Those that have not ended, and which stream each is."""

    @property
    def flooded(self) -> bool:
        """Whether so much was written that the run should end."""
        return self._cap.flooded

    @property
    def written(self) -> int:
        """Bytes, those that were thrown away included."""
        return self._cap.written

    @property
    def truncated(self) -> bool:
        """Whether some were thrown away."""
        return self._cap.truncated

    def read(self, pipe: int) -> bool:
        """Take in what is there. False at its end, or where nothing is."""
        try:
            data = os.read(pipe, _READ)
        except BlockingIOError:
            return False
        stream = self.descriptors[pipe]
        self._tell(stream, self._cap.take(stream, data) if data else self._cap.rest(stream))
        if not data:
            del self.descriptors[pipe]
        return bool(data)

    def read_the_rest(self) -> None:
        """What was written before the end, a line without its end included."""
        for pipe in list(self.descriptors):
            while self.read(pipe):
                pass
        for stream in _STREAMS:
            self._tell(stream, self._cap.rest(stream))

    def _tell(self, stream: str, lines: list[str]) -> None:
        if lines:
            self._line.say("output", [stream, *lines])
