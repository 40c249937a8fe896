"""The one reader of a process: follows the journals that somebody watches, for all watchers in one query."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Protocol, Self

import structlog

from domain.errors import StorageUnavailable
from domain.journal import Entry

LIVELY_SECONDS = 0.05
"""Between two looks while something happens: half of it is what an event waits on average."""
QUIET_SECONDS = 0.15
"""Between two looks when nothing has happened for a while."""
QUIET_AFTER = 40
"""Looks without news."""
AWAY_SECONDS = 1.0
"""Between two looks while the database is away."""
ENTRIES_AT_ONCE = 100
"""Of one evaluation in one look. An entry is at most 64 KiB."""
MAX_BEHIND = 1000
"""Entries that a watcher may be behind before it is dropped. They are shared by all watchers of an evaluation."""

log = structlog.get_logger()


class Readable(Protocol):
    """A journal of many evaluations."""

    async def read_many(self, after: Mapping[str, int], limit: int) -> dict[str, list[Entry]]:
        """What is new for each. Raises StorageUnavailable."""
        ...


class TooSlow(Exception):
    """A watcher was so far behind that it was dropped. It may resume where it was."""


class Watch:
    """One watcher's share of the feed."""

    def __init__(self) -> None:
        self._waiting = deque[Entry]()
        self._news = asyncio.Event()
        self._dropped = False

    async def next(self, within: float) -> list[Entry]:
        """What has come; nothing where nothing comes within so many seconds. Raises TooSlow."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._news.wait()
        if self._dropped:
            raise TooSlow("more than a watcher may be behind")
        entries = list(self._waiting)
        self._waiting.clear()
        self._news.clear()
        return entries

    def put(self, entries: list[Entry]) -> None:
        """Hand over what is new. Never waits: who is slow is dropped, and holds up nobody."""
        if len(self._waiting) + len(entries) > MAX_BEHIND:
            self._dropped = True
            self._waiting.clear()
        elif not self._dropped:
            self._waiting.extend(entries)
        self._news.set()


class JournalFeed:
    """Reads while somebody watches, and not at all otherwise. Used as an async context manager."""

    def __init__(self, journal: Readable) -> None:
        self._journal = journal
        self._watches: dict[str, set[Watch]] = {}
        self._places: dict[str, int] = {}
        self._wanted = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    @asynccontextmanager
    async def watching(self, evaluation_id: str, after: int) -> AsyncGenerator[Watch]:
        """Watch an evaluation. Entries up to the one where others are already must be read by the watcher itself.

        So must be: join first, then read what is between, then take from the watch what is behind that.
        """
        watch = Watch()
        watches = self._watches.setdefault(evaluation_id, set())
        watches.add(watch)
        self._places.setdefault(evaluation_id, after)
        self._wanted.set()
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches:
                del self._watches[evaluation_id]
                del self._places[evaluation_id]
            if not self._watches:
                self._wanted.clear()

    async def _read(self) -> None:
        quiet = 0
        while True:
            await self._wanted.wait()
            asked = dict(self._places)
            try:
                found = await self._journal.read_many(asked, ENTRIES_AT_ONCE)
            except StorageUnavailable as away:
                log.warning("feed_waits", code=away.code)
                await asyncio.sleep(AWAY_SECONDS)
                continue
            except Exception as error:  # noqa: BLE001 - a defect of ours must not make every stream mute for good
                log.error("feed_broke", error=type(error).__name__)  # noqa: TRY400 - its text may be a script's
                await asyncio.sleep(AWAY_SECONDS)
                continue
            more = [self._deliver(each, asked[each], entries) for each, entries in found.items()]
            quiet = 0 if found else quiet + 1
            await asyncio.sleep(0 if any(more) else LIVELY_SECONDS if quiet < QUIET_AFTER else QUIET_SECONDS)

    def _deliver(self, evaluation_id: str, asked: int, entries: list[Entry]) -> bool:
        """Hand entries to whoever watches; whether there may be more at once."""
        if self._places.get(evaluation_id) != asked:  # everybody left during the query, and perhaps others came
            return False
        self._places[evaluation_id] = entries[-1].seq
        for watch in self._watches[evaluation_id]:
            watch.put(entries)
        return len(entries) == ENTRIES_AT_ONCE
