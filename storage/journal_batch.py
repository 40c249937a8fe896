"""Collects the entries of a run and appends them often, but not one by one: a script may print a thousand lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from domain.errors import StorageUnavailable
from domain.journal import NewEntry
from storage.entries import ENTRY_BYTES, payload_text

FLUSH_SECONDS = 0.05
FLUSH_BYTES = 64 * 1024
ROOM_BYTES = 4 * FLUSH_BYTES
"""What may wait while the database is slow; then whoever puts waits too."""
PAUSES = (0.1, 0.3, 1.0, 3.0, 5.0, 10.0)
"""Seconds between attempts: a run should outlive a database that restarts. Frames make repeating safe."""

Append = Callable[[str, Sequence[NewEntry]], Awaitable[None]]


class JournalBatch:
    """Takes the entries of one run in order. What was put is kept when the context is left.

    Where an entry could not be kept, the next `put` raises, and so does leaving.
    """

    def __init__(self, evaluation_id: str, append: Append, pauses: Sequence[float] = PAUSES) -> None:
        self._evaluation_id, self._append, self._pauses = evaluation_id, append, pauses
        self._waiting: list[NewEntry] = []
        self._bytes = 0
        self._some = asyncio.Event()
        self._much = asyncio.Event()
        self._room = asyncio.Event()
        self._closing = False
        self._failure: Exception | None = None

    async def __aenter__(self) -> Self:
        self._flusher = asyncio.create_task(self._flush_until_closed(), name="journal-batch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush. A cancellation meanwhile is passed on afterwards: the entries are evidence."""
        cancelled: asyncio.CancelledError | None = None
        self._closing = True
        self._some.set()
        self._much.set()
        while not self._flusher.done():
            try:
                await asyncio.wait([self._flusher])
            except asyncio.CancelledError as caught:
                cancelled = caught
        if cancelled is not None:
            raise cancelled
        if self._failure is not None and error is None:
            raise self._failure

    async def put(self, entry: NewEntry) -> None:
        """Keep an entry, soon. Raises StorageUnavailable where an earlier one could not be kept."""
        while self._bytes >= ROOM_BYTES and self._failure is None:
            self._room.clear()
            await self._room.wait()
        if self._failure is not None:
            raise self._failure
        self._waiting.append(entry)
        self._bytes += ENTRY_BYTES + len(payload_text(entry.payload))
        self._some.set()
        if self._bytes >= FLUSH_BYTES:
            self._much.set()

    async def _flush_until_closed(self) -> None:
        try:
            while not (self._closing and not self._waiting):
                await self._some.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_SECONDS):
                        await self._much.wait()
                await self._flush()
        except Exception as failure:  # noqa: BLE001 - raised where somebody listens: by put and on leaving
            self._failure = failure
        finally:
            self._room.set()

    async def _flush(self) -> None:
        taken, self._waiting, size = self._waiting, [], self._bytes
        if not self._closing:
            self._some.clear()
            self._much.clear()
        for pause in self._pauses:
            try:
                await self._append(self._evaluation_id, taken)
                break
            except StorageUnavailable:
                await asyncio.sleep(pause)
        else:
            await self._append(self._evaluation_id, taken)
        self._bytes -= size
        self._room.set()
