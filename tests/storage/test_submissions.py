"""What is accepted is there entirely, once, and known to the sweep until its workflow was started."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from domain.journal import EntryKind
from domain.lifecycle import Status
from storage.blobs import Blobs
from storage.database import Database
from storage.evaluations import Evaluations, Idempotency, IdempotencyConflict
from storage.journal import Journal
from storage.submissions import IDEMPOTENT_FOR
from tests.builders import SCRIPT
from tests.storage.rows import A, bring, later, new

KEY = Idempotency(key="key-1", request_digest="d" * 64)


async def test_row_script_and_journal_are_written_together(
    evaluations: Evaluations, journal: Journal, database: Database
) -> None:
    submission = await evaluations.submit(new(retry_of="eval_" + "z" * 26), None)

    assert submission.created
    assert submission.record == await evaluations.find(A)
    assert submission.record.status is Status.QUEUED
    assert submission.record.retry_of == "eval_" + "z" * 26
    assert await Blobs(database).get("tenant-a", submission.record.script.sha256) == SCRIPT
    (entry,) = await journal.read(A)
    assert (entry.seq, entry.kind, entry.at) == (1, EntryKind.STATUS, later(0))
    assert entry.payload == {"status": "queued", "stage": None, "verdict": None}


async def test_a_script_that_is_not_what_its_reference_says_is_not_accepted(evaluations: Evaluations) -> None:
    wrong = new().model_copy(update={"script": b"something else"})

    with pytest.raises(ValueError, match="reference"):
        await evaluations.submit(wrong, None)

    assert await evaluations.find(A) is None


async def test_the_same_request_is_one_evaluation(evaluations: Evaluations) -> None:
    first = await evaluations.submit(new("a"), KEY)

    again = await evaluations.submit(new("b"), KEY)

    assert (again.created, again.record) == (False, first.record)
    assert await evaluations.find(new("b").evaluation.evaluation_id) is None


async def test_another_request_with_the_same_key_is_a_conflict(evaluations: Evaluations) -> None:
    await evaluations.submit(new("a"), KEY)

    with pytest.raises(IdempotencyConflict):
        await evaluations.submit(new("b"), KEY.model_copy(update={"request_digest": "e" * 64}))

    assert await evaluations.find(new("b").evaluation.evaluation_id) is None


async def test_keys_of_two_tenants_have_nothing_to_do_with_each_other(evaluations: Evaluations) -> None:
    await evaluations.submit(new("a", tenant="tenant-a"), KEY)

    assert (await evaluations.submit(new("b", tenant="tenant-b"), KEY)).created


@pytest.mark.parametrize(("after", "created"), [(IDEMPOTENT_FOR - timedelta(seconds=1), False), (IDEMPOTENT_FOR, True)])
async def test_a_key_is_free_again_after_24_hours(evaluations: Evaluations, after: timedelta, *, created: bool) -> None:
    await evaluations.submit(new("a"), KEY)

    again = await evaluations.submit(new("b", queued_after=after.total_seconds()), KEY)

    assert again.created is created


async def test_of_many_equal_requests_at_once_one_is_accepted(database: Database, second_database: Database) -> None:
    several = [Evaluations(database), Evaluations(second_database)]

    names = "abcdefghijkl"
    submissions = await asyncio.gather(*(several[n % 2].submit(new(name), KEY) for n, name in enumerate(names)))

    assert [submission.created for submission in submissions].count(True) == 1
    assert len({submission.record.evaluation_id for submission in submissions}) == 1


async def test_many_different_requests_at_once_are_all_accepted(database: Database, second_database: Database) -> None:
    several = [Evaluations(database), Evaluations(second_database)]
    names = [first + second for first in "bcdefgh" for second in "ijklm"]

    await asyncio.gather(*(several[n % 2].submit(new(name), None) for n, name in enumerate(names)))

    page = await several[0].page("tenant-a", None, 200, None)
    assert len(page.records) == len(names)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STOPPING])
async def test_the_sweep_finds_what_has_no_workflow(
    evaluations: Evaluations, database: Database, status: Status
) -> None:
    await bring(evaluations, status)
    sweeping = Evaluations(database, now=lambda: later(30))

    assert await sweeping.unstarted(timedelta(seconds=30), 10) == [new().evaluation]
    assert await sweeping.unstarted(timedelta(seconds=31), 10) == []


async def test_the_sweep_passes_over_what_was_started_or_has_ended(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.QUEUED, "a")
    await bring(evaluations, Status.ERROR, "b")

    await evaluations.mark_started(A)

    assert await evaluations.unstarted(timedelta(0), 10) == []


async def test_the_sweep_begins_with_the_oldest(evaluations: Evaluations) -> None:
    for name, seconds in (("b", 2), ("c", 1), ("d", 3)):
        await evaluations.submit(new(name, queued_after=seconds), None)

    found = await evaluations.unstarted(timedelta(0), 2)

    assert [evaluation.evaluation_id[5] for evaluation in found] == ["c", "b"]


async def test_a_tenant_does_not_find_what_is_not_its_own(evaluations: Evaluations) -> None:
    await evaluations.submit(new(), None)

    assert await evaluations.find(A, "tenant-b") is None
    assert await evaluations.find(A, "tenant-a") is not None
    assert await evaluations.find("eval_unknown") is None
