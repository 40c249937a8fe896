"""Heartbeats in the background, and the look for an ordered stop that goes with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager

import structlog
from temporalio import activity

from activities.ports import Records
from domain.errors import StorageUnavailable

EVERY_SECONDS = 0.5

log = structlog.get_logger()


@asynccontextmanager
async def heartbeats() -> AsyncGenerator[None]:
    """Tell Temporal that we live, as long as the event loop does."""
    async with _beside(_beat()):
        yield


@asynccontextmanager
async def stop_looked_for(records: Records, evaluation_id: str, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Set `stop` soon after a stop was ordered in the records: this works without a workflow worker."""
    async with _beside(_look(records, evaluation_id, stop)):
        yield


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(EVERY_SECONDS)


async def _look(records: Records, evaluation_id: str, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            if await records.stop_ordered(evaluation_id) is not None:
                stop.set()
        except StorageUnavailable:
            pass  # a signal reaches the run as well, and the next look comes soon
        except Exception as error:  # nor may a defect of ours be the last look
            log.exception("stop_look_broke", evaluation_id=evaluation_id, error=type(error).__name__)
        await asyncio.sleep(EVERY_SECONDS)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
