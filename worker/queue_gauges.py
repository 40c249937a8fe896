"""Tells again and again how many evaluations wait where, and since when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from activities.clock import now as utc_now
from domain.errors import StorageUnavailable
from domain.lifecycle import TERMINAL, Status
from domain.metrics import EVALUATIONS_OPEN, QUEUE_AGE_SECONDS
from storage.oversight import Waiting
from workflows.metrics import Instruments

OPEN = tuple(status for status in Status if status not in TERMINAL)

log = structlog.get_logger()


class Counted(Protocol):
    """Knows all evaluations."""

    async def waiting(self) -> dict[Status, Waiting]:
        """Those that have not ended, by status. Raises StorageUnavailable."""
        ...


class QueueGauges:
    """Sets gauges. A database that is away leaves them as they were: an alert on the process tells of it."""

    def __init__(self, evaluations: Counted, instruments: Instruments, now: Callable[[], datetime] = utc_now) -> None:
        self._evaluations = evaluations
        self._instruments = instruments
        self._now = now

    async def run(self, every: float) -> None:
        """Measure until cancelled, with `every` seconds between."""
        while True:
            try:
                await self.measure()
            except StorageUnavailable as away:
                log.warning("queue_not_measured", code=away.code)
            await asyncio.sleep(every)

    async def measure(self) -> None:
        """Look once. Raises StorageUnavailable."""
        waiting, now = await self._evaluations.waiting(), self._now()
        for status in OPEN:
            there = waiting.get(status)
            age = (now - there.oldest).total_seconds() if there is not None else 0.0
            self._instruments.put(EVALUATIONS_OPEN, there.number if there else 0, status=status.value)
            self._instruments.put(QUEUE_AGE_SECONDS, max(0.0, age), status=status.value)
