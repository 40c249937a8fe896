"""Waiting for an execution's run while Temporal may want something else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import activity

from domain.errors import WorkerLost

STOP_SECONDS = 10.0
"""What a stopped run gets to report how it ended, before it is cancelled instead."""

T = TypeVar("T")


async def attended(run: asyncio.Task[T], stop: asyncio.Event) -> T:
    """The result of `run`. When a cancellation gets out of here, nothing of the run is alive.

    cancel requested   the run is stopped, and its report is the answer
    worker shut down   the run is killed, and WorkerLost is raised: it was begun, and is never begun twice
    paused             the run goes on: it cannot be continued elsewhere
    anything else      nobody waits for it (its workflow is gone, its time is over): the run is killed
    """
    while True:
        try:
            return await asyncio.shield(run)
        except asyncio.CancelledError:
            if run.done():
                raise
            details = activity.cancellation_details()
            if details is not None and details.paused:
                continue
            if details is not None and details.cancel_requested:
                stop.set()
                if await _ends(run, within=STOP_SECONDS):
                    return run.result()
            run.cancel()
            await _ends(run)
            if not run.cancelled():
                return run.result()
            if details is not None and details.worker_shutdown:
                raise WorkerLost("the worker was shut down while the script ran") from None
            raise


async def seen_through(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which no cancellation cuts short: what has ended is written down."""
    task = asyncio.create_task(work)
    await _ends(task)
    return task.result()


async def _ends(task: asyncio.Task[Any], within: float | None = None) -> bool:
    """Wait until the task has ended, whatever else is wanted of us meanwhile. False where it has not in time."""
    clock = asyncio.get_running_loop().time
    last = None if within is None else clock() + within
    while not task.done():
        left = None if last is None else last - clock()
        if left is not None and left <= 0:
            return False
        try:
            await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError:
            continue
    return True
