"""A run's journal appends little and often, and loses nothing without saying so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from domain.errors import StorageUnavailable
from domain.journal import EntryKind, NewEntry
from storage.database import Database
from storage.evaluations import Evaluations
from storage.journal import Journal
from storage.journal_batch import FLUSH_BYTES, ROOM_BYTES, JournalBatch
from tests.storage.rows import A, a_line, new


@dataclass
class Kept:
    """Where entries go. `fails` of the next appends fail; `gate` holds them up."""

    batches: list[list[int | None]] = field(default_factory=list[list[int | None]])
    fails: int = 0
    gate: asyncio.Event | None = None
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def frames(self) -> list[int | None]:
        return [frame for batch in self.batches for frame in batch]

    async def append(self, evaluation_id: str, entries: Sequence[NewEntry]) -> None:
        assert evaluation_id == A
        if self.fails:
            self.fails -= 1
            raise StorageUnavailable("away")
        if self.gate is not None:
            self.waiting.set()
            await self.gate.wait()
        if entries:
            self.batches.append([entry.frame for entry in entries])


def batch(kept: Kept, pauses: Sequence[float] = (0, 0)) -> JournalBatch:
    return JournalBatch(A, kept.append, pauses)


async def until(kept: Kept, count: int) -> None:
    async with asyncio.timeout(10):
        while len(kept.frames) < count:  # noqa: ASYNC110 - the time it takes is what is tested
            await asyncio.sleep(0.005)


async def test_what_was_put_is_in_the_journal_after_leaving(
    evaluations: Evaluations, journal: Journal, database: Database
) -> None:
    await evaluations.submit(new(), None)

    async with Journal(database).batch(A) as run:
        for frame in range(300):
            await run.put(a_line(frame))

    kept = await journal.read(A, limit=1000, kinds=frozenset({EntryKind.LOG}))
    assert [entry.frame for entry in kept] == list(range(300))


async def test_entries_are_kept_soon_without_leaving() -> None:
    kept = Kept()
    async with batch(kept) as run:
        await run.put(a_line(1))
        await until(kept, 1)
        await run.put(a_line(2))
        await until(kept, 2)


async def test_what_comes_at_once_is_appended_at_once() -> None:
    kept = Kept()
    async with batch(kept) as run:
        for frame in range(100):
            await run.put(a_line(frame))

    assert kept.batches == [list(range(100))]


async def test_much_does_not_wait_for_the_time_to_pass() -> None:
    kept = Kept(gate=asyncio.Event())
    async with batch(kept) as run:
        await run.put(a_line(1, "x" * FLUSH_BYTES))
        async with asyncio.timeout(10):
            await kept.waiting.wait()
        assert kept.gate is not None
        kept.gate.set()


async def test_whoever_puts_waits_while_there_is_no_room() -> None:
    kept = Kept(gate=asyncio.Event())
    async with batch(kept) as run:
        for frame in range(4):
            await run.put(a_line(frame, "x" * (ROOM_BYTES // 4)))
        further = asyncio.create_task(run.put(a_line(4)))
        await asyncio.wait([further], timeout=0.1)
        assert not further.done()
        assert kept.gate is not None
        kept.gate.set()
        await further

    assert kept.frames == [0, 1, 2, 3, 4]


async def test_a_database_that_is_away_for_a_moment_costs_nothing() -> None:
    kept = Kept(fails=2)

    async with batch(kept) as run:
        await run.put(a_line(1))

    assert kept.frames == [1]


async def put_all(run: JournalBatch, size: int, seconds: float = 0) -> None:
    async with asyncio.timeout(10):
        for frame in range(1000):
            await run.put(a_line(frame, "x" * size))
            await asyncio.sleep(seconds)


async def test_a_failure_is_raised_from_the_next_put() -> None:
    run = batch(Kept(fails=3))
    await run.__aenter__()

    with pytest.raises(StorageUnavailable):
        await put_all(run, size=1, seconds=0.01)

    with pytest.raises(StorageUnavailable):
        await run.__aexit__(None, None, None)


async def test_a_failure_is_raised_from_leaving() -> None:
    run = batch(Kept(fails=3))
    await run.__aenter__()
    await run.put(a_line(1))

    with pytest.raises(StorageUnavailable):
        await run.__aexit__(None, None, None)


async def test_a_failure_does_not_hide_what_went_wrong_inside() -> None:
    async def go_wrong() -> None:
        async with batch(Kept(fails=3)) as run:
            await run.put(a_line(1))
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        await go_wrong()


async def test_whoever_waits_for_room_learns_of_the_failure() -> None:
    run = batch(Kept(fails=3), pauses=(0.02, 0.02))
    await run.__aenter__()

    with pytest.raises(StorageUnavailable):
        await put_all(run, size=ROOM_BYTES)

    with pytest.raises(StorageUnavailable):
        await run.__aexit__(None, None, None)


async def test_a_cancellation_waits_until_everything_is_kept() -> None:
    kept = Kept(gate=asyncio.Event())
    put = asyncio.Event()

    async def run() -> None:
        async with batch(kept) as journal:
            await journal.put(a_line(1))
            put.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await put.wait()
    task.cancel()
    await kept.waiting.wait()
    task.cancel()
    assert kept.gate is not None
    kept.gate.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert kept.frames == [1]
