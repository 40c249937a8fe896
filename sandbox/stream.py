r"""The frames between a run and its worker, and their one parser: the same on a pipe, an attached stream and a log.

    <attempt>.<number> <digest> <kind>[+] <text>\n        at most 64 KiB, ASCII; `+`: the next frame goes on with it

Each direction numbers its frames from 1 and keeps them until the other end has acknowledged them. A frame that is cut,
forged, doubled or out of order is dropped; `resume` asks for everything from a number on. Frames numbered 0 (`ack`,
`resume`) may be lost. The digest is keyed BLAKE2b (RFC 7693); only the order is unkeyed, since it brings the key.
A worker's frames carry its activity's attempt: a later one takes over, and what an earlier one still says is ignored.
"""

from __future__ import annotations

from sandbox.light import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

try:  # hashlib would load OpenSSL, and every run pays for that
    from _blake2 import blake2b
except ImportError:  # a build without the private module
    from hashlib import blake2b

MAX_FRAME = 64 * 1024
MAX_TEXT = 48 * 1024
"""Of one frame; a longer text goes on in the next."""
MAX_MESSAGE = 32 * 1024 * 1024
MAX_UNACKNOWLEDGED = 1024 * 1024
"""Bytes that a sender keeps before it is `full`: whoever has more to say has to wait."""
ACKNOWLEDGE_EVERY = 16
"""Frames."""
FROM_RUN, TO_RUN = b"airlock-from-run", b"airlock-to-run"
_DIGITS = frozenset(b"0123456789")


class Message:
    """What one or several frames say. `frame` is the number of the last of them."""

    __slots__ = ("frame", "kind", "text")

    def __init__(self, kind: str, text: str, frame: int) -> None:
        self.kind = kind
        self.text = text
        self.frame = frame


class Sender:
    """Makes the frames of one direction, and keeps what has not been acknowledged."""

    def __init__(self, direction: bytes, key: bytes = b"", attempt: int = 0) -> None:
        self.key = key
        self._direction = direction
        self._attempt = attempt
        self._number = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0

    @property
    def full(self) -> bool:
        """Whether nothing should be added before something is acknowledged. What must be said, may be."""
        return self._kept_bytes >= MAX_UNACKNOWLEDGED

    @property
    def unacknowledged(self) -> int:
        """How many frames the other end has not confirmed."""
        return len(self._kept)

    def frames(self, kind: str, text: str) -> bytes:
        """The frames of a message, numbered and kept. `text` is ASCII without line ends, as JSON is."""
        made = b""
        data = text.encode("ascii")
        for at in range(0, len(data) or 1, MAX_TEXT):
            more = at + MAX_TEXT < len(data)
            self._number += 1
            frame = self._frame(self._number, kind + "+" * more, data[at : at + MAX_TEXT])
            self._kept.append((self._number, frame))
            self._kept_bytes += len(frame)
            made += frame
        return made

    def control(self, kind: str, number: int) -> bytes:
        """A frame that is not kept: `ack` of everything up to a number, `resume` from one on."""
        return self._frame(0, kind, b"%d" % number)

    def acknowledge(self, number: int) -> None:
        """The other end has everything up to `number`."""
        while self._kept and self._kept[0][0] <= number:
            self._kept_bytes -= len(self._kept.popleft()[1])

    def again(self, number: int) -> bytes:
        """All kept frames from `number` on."""
        return b"".join(frame for at, frame in self._kept if at >= number)

    def _frame(self, number: int, kind: str, data: bytes) -> bytes:
        head = b"%d.%d" % (self._attempt, number)
        body = b"%s %s" % (kind.encode("ascii"), data)
        return b"%s %s %s\n" % (head, digest_of(self._direction, self.key, head, body), body)


class Receiver:
    """Parses the frames of one direction, from whatever pieces they come in. Never raises, whatever it is fed."""

    def __init__(self, direction: bytes, key: bytes = b"", attempt: int = 0) -> None:
        self.key = key
        self.received = 0
        """The number of the last frame taken: the next one has to be one higher."""
        self.broken = 0
        """Lines that are no frame of ours: cut, forged, malformed, too long."""
        self.repeated = 0
        self.late = 0
        """Frames of an earlier attempt."""
        self.missing = False
        """Whether a frame came too early, so that `resume` has to be asked for."""
        self._direction = direction
        self._attempt = attempt
        self._line = b""
        self._skipping = False
        self._pieces: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterable[Message]:
        """The messages that are complete with `data`, one by one: the key may be set in between."""
        *lines, rest = (self._line + data).split(b"\n")
        self._line = b""
        for line in lines:
            if self._skipping or len(line) >= MAX_FRAME:
                self._skipping = False
                self.broken += 1
                continue
            message = self._take(line)
            if message is not None:
                yield message
        if self._skipping or len(rest) >= MAX_FRAME:
            self._skipping, rest = True, b""
        self._line = rest

    def resumed(self) -> int:
        """The number to resume from; forgets that something was missing."""
        self.missing = False
        return self.received + 1

    def _take(self, line: bytes) -> Message | None:
        head, digest, kind, data = (line.split(b" ", 3) + [b""] * 4)[:4]
        attempt, _, number = head.partition(b".")
        if not (_is_number(attempt) and _is_number(number)) or not _same(digest, self._digest(line, head)):
            self.broken += 1
            return None
        return self._in_order(
            int(attempt), int(number), kind.decode("ascii", "replace"), data.decode("ascii", "replace")
        )

    def _digest(self, line: bytes, head: bytes) -> bytes:
        return digest_of(self._direction, self.key, head, line[len(head) + 2 + 32 :])

    def _in_order(self, attempt: int, number: int, kind: str, text: str) -> Message | None:
        if attempt < self._attempt:
            self.late += 1
            return None
        if attempt > self._attempt:
            self._attempt, self.received, self._pieces, self._size = attempt, 0, [], 0
        if number == 0:
            return Message(kind, text, 0)
        if number != self.received + 1:
            self.repeated += number <= self.received
            self.missing = self.missing or number > self.received
            return None
        self.received = number
        return self._assembled(kind, text)

    def _assembled(self, kind: str, text: str) -> Message | None:
        self._size += len(text)
        if self._size <= MAX_MESSAGE:
            self._pieces.append(text)
        if kind.endswith("+"):
            return None
        whole, too_large = "".join(self._pieces), self._size > MAX_MESSAGE
        self._pieces, self._size = [], 0
        self.broken += too_large
        return None if too_large else Message(kind, whole, self.received)


def digest_of(direction: bytes, key: bytes, head: bytes, body: bytes) -> bytes:
    """What a frame carries: 32 hexadecimal digits over its number, its words, its direction and the run's key."""
    digest = blake2b(b"%s %s" % (head, body), digest_size=16, key=key, person=direction[-16:])
    return digest.hexdigest().encode("ascii")


def _is_number(text: bytes) -> bool:
    return 0 < len(text) <= 15 and _DIGITS.issuperset(text)


def _same(one: bytes, other: bytes) -> bool:
    """Compares in a time that tells nothing."""
    difference = len(one) ^ len(other)
    for left, right in zip(one, other, strict=False):
        difference |= left ^ right
    return difference == 0
