"""A run from the worker's side: hearing its runner until it is done, stopped or overdue, and cleaning up whole."""

from __future__ import annotations

import asyncio

from sandbox.conversation import Conversation
from sandbox.local.launched import Launched
from sandbox.receipt import Evidence

BEGUN_WITHIN = 30.0
"""Seconds from the start of the sandbox to the script's first line, on a machine that is very busy."""
OVERDUE_AFTER = 3.0
"""Seconds beyond the wall-clock time before the run is ended from outside: its runner should have done it."""
REPORTS_WITHIN = 0.15
"""Seconds that a stopped runner has to kill the script and tell what there was; after that all are killed."""


async def converse(
    launched: Launched, conversation: Conversation, timeout_seconds: float, stop: asyncio.Event
) -> Evidence:
    """Until the runner has said everything, is stopped, or is overdue."""
    hearing = asyncio.create_task(_hear(launched, conversation))
    stopping = asyncio.create_task(stop.wait())
    try:
        patience = BEGUN_WITHIN + timeout_seconds + OVERDUE_AFTER
        await asyncio.wait({hearing, stopping}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if hearing.done():
            await hearing
            return Evidence()
        if not stopping.done():
            return Evidence(overdue=True)
        if conversation.began is not None:
            conversation.stop()
            await asyncio.wait({hearing}, timeout=REPORTS_WITHIN)
        return Evidence(stopped=True)
    finally:
        for task in (hearing, stopping):
            task.cancel()
        await asyncio.wait({hearing, stopping})


async def _hear(launched: Launched, conversation: Conversation) -> None:
    while conversation.receipt is None and (data := await launched.read()):
        await conversation.received(data)
