"""The descriptor that wakes the runner when a signal has come, a child's end above all."""

from __future__ import annotations

import os

from sandbox.light import signal

_WAKE: list[int] = []


def woken() -> int:
    """Readable when a signal has come."""
    if not _WAKE:
        _WAKE.extend(os.pipe())
        for each in _WAKE:
            os.set_blocking(each, False)
        signal.set_wakeup_fd(_WAKE[1], warn_on_full_buffer=False)
    return _WAKE[0]
