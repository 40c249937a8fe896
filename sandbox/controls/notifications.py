"""The listener of a seccomp filter: one call that waits, and the answer to it."""

from __future__ import annotations

import errno
import fcntl
import struct

_RECEIVE, _ANSWER, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
_WAKES_IN_STEP = 1
_CALL = struct.Struct("=QIIiIQ6Q")
_REPLY = struct.Struct("=QqiI")
_CONTINUE = 1


class Notification:
    """A system call that waits. The numbers are what the kernel will use; what they point to may still change."""

    __slots__ = ("arguments", "identity", "number", "process")

    def __init__(self, identity: int, process: int, number: int, arguments: tuple[int, ...]) -> None:
        self.identity = identity
        self.process = process
        self.number = number
        self.arguments = arguments


def receive(listener: int) -> Notification | None:
    """The next call that waits; None where its caller has died meanwhile. Blocks where none is there."""
    buffer = bytearray(_CALL.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer, True)  # noqa: FBT003 - the function takes no keyword
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINTR}:
            return None
        raise
    identity, process, _, number, _, _, *arguments = _CALL.unpack(buffer)
    return Notification(identity, process, number, tuple(arguments))


def step_with_callers(listener: int) -> None:
    """Let whoever is woken run where the other is about to sleep: twice as fast since Linux 6.6, and no loss before."""
    try:
        fcntl.ioctl(listener, _SET_FLAGS, _WAKES_IN_STEP)
    except OSError:
        return


def answer(listener: int, notification: Notification, error: int | None) -> bool:
    """Let the call go on (None), or end it with an error number.

    Whether its caller still waited for that: only then was the memory that has been read its own.
    """
    flags = _CONTINUE if error is None else 0
    reply = _REPLY.pack(notification.identity, 0, -(error or 0), flags)
    try:
        fcntl.ioctl(listener, _ANSWER, reply)
    except OSError as gone:
        if gone.errno not in {errno.ENOENT, errno.EINPROGRESS}:
            raise
        return False
    return True
