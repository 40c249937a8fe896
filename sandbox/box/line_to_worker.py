"""The runner's end of the stream: frames out as fast as they are taken, orders in, and neither ever waited for."""

from __future__ import annotations

import os

from sandbox.light import dumps
from sandbox.stream import ACKNOWLEDGE_EVERY, FROM_RUN, TO_RUN, Message, Receiver, Sender

_IN, _OUT = 0, 1
_CHUNK = 64 * 1024
_ENOUGH = 256 * 1024
"""Bytes that wait to be written before the script has to wait."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LineToWorker:
    """Standard input and output of the runner."""

    def __init__(self) -> None:
        self._sender = Sender(FROM_RUN)
        self._receiver = Receiver(TO_RUN)
        self._waiting = bytearray()
        self._acknowledged = 0
        self.closed = False
        """Whether the worker is gone."""

    @property
    def left(self) -> tuple[int, int]:
        """What is still to be done: bytes to write, frames to be confirmed."""
        return len(self._waiting), self._sender.unacknowledged

    def use_key(self, key: bytes) -> None:
        """From here on frames are keyed."""
        self._sender.key = self._receiver.key = key

    @property
    def to_write(self) -> bool:
        """Whether something waits for room."""
        return bool(self._waiting)

    @property
    def congested(self) -> bool:
        """Whether whoever can wait should."""
        return self._sender.full or len(self._waiting) >= _ENOUGH

    def say(self, kind: str, value: Any) -> None:
        """Send a message."""
        self.say_text(kind, dumps(value))

    def say_text(self, kind: str, text: str) -> None:
        """Send a message that is JSON already."""
        self._waiting += self._sender.frames(kind, text)
        self.write()

    def write(self) -> None:
        """Write what there is room for."""
        try:
            while self._waiting:
                del self._waiting[: os.write(_OUT, self._waiting[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:
            self.closed = True
            self._waiting.clear()

    def read(self) -> list[Message]:
        """The orders that have come. Acknowledgements are seen to here."""
        try:
            data = os.read(_IN, _CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return []
        orders = [message for message in self._receiver.feed(data) if not self._is_control(message)]
        self._confirm()
        return orders

    def _is_control(self, message: Message) -> bool:
        number = int(message.text) if message.text.isdigit() else 0
        if message.kind == "ack":
            self._sender.acknowledge(number)
        elif message.kind == "resume":
            self._waiting += self._sender.again(number)
            self.write()
        else:
            return False
        return True

    def _confirm(self) -> None:
        if self._receiver.missing:
            self._waiting += self._sender.control("resume", self._receiver.resumed())
        elif self._receiver.received >= self._acknowledged + ACKNOWLEDGE_EVERY:
            self._acknowledged = self._receiver.received
            self._waiting += self._sender.control("ack", self._acknowledged)
        self.write()
