"""One stack in a directory at a time, what a killed one has left behind included."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cli.stack.child import STOP_SECONDS

GONE_WITHIN = 5.0
"""Seconds from SIGKILL to the end of a process, on a machine that is very busy."""
_LOOK_EVERY = 0.1


class AlreadyUp(Exception):
    """Another `airlock up` works in the same directory."""


@asynccontextmanager
async def alone(state: Path, tell: Callable[[str], None]) -> AsyncGenerator[tuple[int, ...]]:
    """Make the directory, and be the only one who works there. What it gives has to be held open by every child.

    Who is killed holds nothing any more, but its children do until they have ended: they are waited for, because
    two servers on one database file spoil it. Raises AlreadyUp, OSError.
    """
    state.mkdir(mode=0o711, parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing waits for it yet
    with (state / "lock").open("w") as lock, (state / "children.lock").open("w") as children:
        if not _taken(lock.fileno()):
            raise AlreadyUp(f"Another airlock works in {state} already: stop it first, or name another --state.")
        await _left_behind(children.fileno(), state / "children.lock", tell)
        yield (children.fileno(),)


async def _left_behind(lock: int, file: Path, tell: Callable[[str], None]) -> None:
    """Wait for what a killed supervisor has left, which the kernel has told to end; kill what does not."""
    if _taken(lock):
        return
    tell("An airlock was killed here: what it had started is still ending ...")
    if await _taken_within(STOP_SECONDS, lock):
        return
    for pid in _holders(file):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not await _taken_within(GONE_WITHIN, lock):
        raise AlreadyUp(f"Processes of an airlock that was killed hold {file} and do not end: {_holders(file)}.")


async def _taken_within(seconds: float, lock: int) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not _taken(lock):  # noqa: ASYNC110 - other processes have no event for us
                await asyncio.sleep(_LOOK_EVERY)
            return True
    return False


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holders(file: Path) -> list[int]:
    """Who else has the file open. With our supervisor gone, nobody but its children does."""
    wanted = os.path.realpath(file)
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and int(process.name) != os.getpid() and wanted in _open_files(process)
    ]


def _open_files(process: Path) -> set[str]:
    found: set[str] = set()
    with suppress(OSError):  # it has ended, or is somebody else's
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found
