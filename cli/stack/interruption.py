"""Runs something until it ends or somebody stops it, and lets it clean up in either case."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_until_stopped(main: Coroutine[Any, Any, T]) -> T | None:
    """What `main` returns. None where a signal ended it: it has cleaned up then, and a second one changes nothing."""
    return asyncio.run(_until_stopped(main))


async def _until_stopped(main: Coroutine[Any, Any, T]) -> T | None:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
    cancelled = False

    def cancel_once() -> None:
        nonlocal cancelled
        if not cancelled:  # cleaning up has deadlines of its own, and must not be cut short by an impatient finger
            cancelled = True
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, cancel_once)
    try:
        return await task
    except asyncio.CancelledError:
        if cancelled:
            return None
        raise
