"""Cleaning up whole, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Do it whole, even where whoever waits is cancelled meanwhile: then CancelledError comes afterwards."""
    task = asyncio.create_task(work)
    if await outlasted(task):
        with suppress(Exception):  # whoever was cancelled asks for no result; it is taken, or asyncio would complain
            task.result()
        raise asyncio.CancelledError
    return task.result()


async def outlasted(task: asyncio.Task[Any]) -> bool:
    """Wait for the end of a task. Returns whether whoever waits was cancelled meanwhile."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled
