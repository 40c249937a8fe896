"""What a watcher of one evaluation is told, whatever carries it: journal entries as events, and why the stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import StrEnum
from typing import NamedTuple

from pydantic import JsonValue

from api.authentication import identify
from api.cursors import cursor_at
from api.following import Batch, ends, follow
from api.journal_feed import TooSlow
from api.schemas import EventData
from api.services import Services
from domain.errors import StorageUnavailable
from domain.journal import Entry, EntryKind
from domain.lifecycle import is_terminal
from storage.records import EvaluationRecord

KEY_CHECK_SECONDS = 30.0
"""How long a revoked key may go on listening."""
END = "end"
HEARTBEAT = "heartbeat"
_UNTOLD = frozenset({EntryKind.MODEL_CALL})
"""What is too large to push: the transcript has a route of its own."""


class StreamEnd(StrEnum):
    """Why a stream ends."""

    ENDED = "ended"
    """The evaluation has ended, and everything was told."""
    LONGEST_LIFE = "longest_life"
    """Resume with the last id."""
    TOO_SLOW = "too_slow"
    """More came than was taken. Resume with the last id."""
    KEY_REVOKED = "key_revoked"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    """Resume later with the last id."""


class StreamEvent(NamedTuple):
    """One event. A heartbeat has neither id nor data."""

    name: str
    id: str = ""
    data: dict[str, JsonValue] | None = None


class EventStream:
    """One watcher's stream."""

    def __init__(self, services: Services, record: EvaluationRecord, after: int, authorization: str) -> None:
        self._services, self._record = services, record
        self._place, self._authorization = after, authorization
        self._over = is_terminal(record.status)
        now = asyncio.get_running_loop().time()
        self._ends_at = now + services.settings.stream_seconds
        self._key_checked_at = now

    async def is_over(self) -> bool:
        """Whether nothing is left to tell, now or later."""
        behind = await self._services.journal.read(self._record.evaluation_id, self._place, limit=1)
        return self._over and not behind

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """What there is to tell, until there is a reason to end; the last one tells the reason."""
        settings = self._services.settings
        following = follow(
            self._services.journal,
            self._services.feed,
            self._record.evaluation_id,
            self._place,
            every=min(settings.heartbeat_seconds, settings.stream_seconds),
        )
        reason: StreamEnd | None = None
        try:
            async with aclosing(following) as batches:
                async for batch in batches:
                    for entry in batch:
                        if entry.kind not in _UNTOLD:
                            yield self._told(entry)
                            await asyncio.sleep(0)  # a socket that takes everything never makes it wait: let others in
                        self._place = entry.seq
                    if not batch:
                        yield StreamEvent(HEARTBEAT)
                    reason = await self._reason_to_end(batch)
                    if reason is not None:
                        break
        except TooSlow:
            reason = StreamEnd.TOO_SLOW
        except StorageUnavailable:
            reason = StreamEnd.STORAGE_UNAVAILABLE
        place = cursor_at(self._record.evaluation_id, self._place)
        yield StreamEvent(END, place, {"reason": (reason or StreamEnd.LONGEST_LIFE).value})

    async def _reason_to_end(self, batch: Batch) -> StreamEnd | None:
        self._over = self._over or any(map(ends, batch))
        if self._over and await self.is_over():
            return StreamEnd.ENDED
        now = asyncio.get_running_loop().time()
        if now >= self._ends_at:
            return StreamEnd.LONGEST_LIFE
        if now - self._key_checked_at >= KEY_CHECK_SECONDS:
            self._key_checked_at = now
            if await identify(self._authorization, self._services) is None:
                return StreamEnd.KEY_REVOKED
        return None

    def _told(self, entry: Entry) -> StreamEvent:
        evaluation_id = self._record.evaluation_id
        return StreamEvent(entry.kind.value, cursor_at(evaluation_id, entry.seq), event_data(evaluation_id, entry))


def event_data(evaluation_id: str, entry: Entry) -> dict[str, JsonValue]:
    """An entry as it goes out."""
    data = EventData(
        evaluation_id=evaluation_id,
        kind=entry.kind,
        at=entry.at,
        run=entry.run,
        stage=entry.stage,
        payload=entry.payload,
    )
    return data.model_dump(mode="json")
