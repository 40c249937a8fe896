"""Follows one evaluation: what is journaled already, then what comes, without a gap and without a double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from api.journal_feed import ENTRIES_AT_ONCE, JournalFeed, TooSlow
from domain.journal import Entry, EntryKind
from domain.lifecycle import Status, is_terminal
from storage.journal import Journal
from storage.records import EvaluationRecord

Batch = list[Entry]
"""Entries in their order. Empty: nothing has come for a while."""


def ends(entry: Entry) -> bool:
    """Whether an entry tells that its evaluation has ended."""
    return entry.kind is EntryKind.STATUS and is_terminal(Status(str(entry.payload["status"])))


async def follow(
    journal: Journal, feed: JournalFeed, evaluation_id: str, after: int, *, every: float
) -> AsyncGenerator[Batch]:
    """Batches behind the entry `after`, an empty one when nothing comes for `every` seconds. Endless.

    What is there already is read at the watcher's own pace, before and after it joins the feed: in between others
    may have read on. Raises TooSlow and StorageUnavailable.
    """
    place = after
    async with aclosing(_pages(journal, evaluation_id, place)) as before:
        async for page in before:
            place = page[-1].seq
            yield page
    async with feed.watching(evaluation_id, place) as watch:
        async with aclosing(_pages(journal, evaluation_id, place)) as between:
            async for page in between:
                place = page[-1].seq
                yield page
        yield []  # everything that was there has been told
        while True:
            fresh = [entry for entry in await watch.next(every) if entry.seq > place]
            place = fresh[-1].seq if fresh else place
            yield fresh


async def wait_for_end(journal: Journal, feed: JournalFeed, record: EvaluationRecord, seconds: float) -> bool:
    """Wait until the journal tells of the end. False where it does not within so many seconds.

    Raises StorageUnavailable.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                with suppress(TooSlow):  # more was printed than this could take: begin anew, behind it
                    return await _end_told(journal, feed, record, every=seconds)
    return False


async def _end_told(journal: Journal, feed: JournalFeed, record: EvaluationRecord, *, every: float) -> bool:
    statuses = await journal.read(record.evaluation_id, kinds=frozenset({EntryKind.STATUS}))
    if any(map(ends, statuses)):
        return True
    place = max(record.last_seq, statuses[-1].seq)  # what a script has printed until here tells nothing
    async with aclosing(follow(journal, feed, record.evaluation_id, place, every=every)) as batches:
        async for batch in batches:
            if any(map(ends, batch)):
                return True
    return False


async def _pages(journal: Journal, evaluation_id: str, after: int) -> AsyncGenerator[Batch]:
    while page := await journal.read(evaluation_id, after, ENTRIES_AT_ONCE):
        yield page
        if len(page) < ENTRIES_AT_ONCE:
            return
        after = page[-1].seq
