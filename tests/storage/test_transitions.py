"""Rows go along the table of transitions, and every step is in the journal."""

from __future__ import annotations

import pytest

from domain.errors import RecordMissing
from domain.findings import Verdict
from domain.journal import EntryKind
from domain.lifecycle import TRANSITIONS, Stage, Status, is_terminal
from domain.outcomes import RunOutcome
from storage.evaluations import Evaluations
from storage.journal import Journal
from storage.transitions import way
from tests.storage.rows import FINDING, ORDER, ORIGIN, A, bring, end, later, new, to

ALL = tuple(Status)
RUNNING = tuple(status for status in Status if not is_terminal(status))
ENDS = tuple(status for status in Status if is_terminal(status))


async def journaled(journal: Journal) -> list[object]:
    entries = await journal.read(A, kinds=frozenset({EntryKind.STATUS}))
    return [entry.payload["status"] for entry in entries]


@pytest.mark.parametrize("status", ALL)
@pytest.mark.parametrize("following", ALL)
def test_a_way_takes_only_steps_of_the_table(status: Status, following: Status) -> None:
    steps = way(status, following)

    assert all(after in TRANSITIONS[before] for before, after in zip((status, *steps), steps, strict=False))
    assert steps == () or steps[-1] is following


@pytest.mark.parametrize("status", RUNNING)
def test_from_everywhere_a_way_leads_to_error_and_to_stopped(status: Status) -> None:
    assert way(status, Status.ERROR) == (Status.ERROR,)
    assert way(status, Status.STOPPED)[-1] is Status.STOPPED


@pytest.mark.parametrize("status", ALL)
@pytest.mark.parametrize("following", ALL)
async def test_a_row_moves_exactly_where_a_way_leads(
    evaluations: Evaluations, journal: Journal, status: Status, following: Status
) -> None:
    await bring(evaluations, status)
    before = await journaled(journal)

    moved = await evaluations.advance(to(following, seconds=5))

    record = await evaluations.find(A)
    assert record is not None
    assert moved is bool(way(status, following))
    assert record.status is (following if moved else status)
    assert await journaled(journal) == before + [step.value for step in way(status, following)]


async def test_statuses_that_were_skipped_are_passed_and_journaled(evaluations: Evaluations, journal: Journal) -> None:
    await evaluations.submit(new(), None)

    assert await evaluations.advance(to(Status.EXECUTING, stage=Stage.POD_EXECUTION))

    assert await journaled(journal) == ["queued", "pending_validation", "validated", "executing"]


async def test_a_change_brings_verdict_findings_and_cause_along(evaluations: Evaluations, journal: Journal) -> None:
    await bring(evaluations, Status.PENDING_VALIDATION)

    await evaluations.advance(
        to(Status.AWAITING_APPROVAL, verdict=Verdict.SUSPICIOUS, findings=(FINDING,), findings_digest="d" * 64)
    )

    record = await evaluations.find(A)
    assert record is not None
    assert (record.verdict, record.findings, record.findings_digest) == (Verdict.SUSPICIOUS, (FINDING,), "d" * 64)
    last = (await journal.read(A))[-1]
    assert last.payload == {"status": "awaiting_approval", "stage": None, "verdict": "suspicious"}


async def test_a_change_without_findings_keeps_those_that_there_are(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.PENDING_VALIDATION)
    await evaluations.advance(to(Status.AWAITING_APPROVAL, findings=(FINDING,), findings_digest="d" * 64))

    await evaluations.advance(to(Status.VALIDATED))

    record = await evaluations.find(A)
    assert record is not None
    assert record.findings == (FINDING,)


@pytest.mark.parametrize("following", ENDS)
@pytest.mark.parametrize("status", RUNNING)
async def test_everything_that_runs_can_be_concluded(
    evaluations: Evaluations, journal: Journal, status: Status, following: Status
) -> None:
    await bring(evaluations, status)

    record = await evaluations.conclude(end(following, cause=ORIGIN), later(9))

    assert is_terminal(record.status)
    assert record.ended_at == later(9)
    assert record.cause is not None or record.status is Status.COMPLETED
    if way(status, following):
        assert record.status is following
    assert (await journaled(journal))[-1] == record.status


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize("other", ENDS)
async def test_the_first_end_stays(evaluations: Evaluations, journal: Journal, status: Status, other: Status) -> None:
    await bring(evaluations, status)
    before, told = await evaluations.find(A), await journal.read(A)

    again = await evaluations.conclude(end(other, outcome=RunOutcome.EXCEPTION), later(9), (FINDING,), "d" * 64)

    assert again == before
    assert await journal.read(A) == told


async def test_an_end_that_comes_after_an_unheard_stop_is_stopped(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.STOPPING)

    record = await evaluations.conclude(end(Status.VALIDATION_FAILED, cause=ORIGIN), later(9))

    assert record.status is Status.STOPPED
    assert record.cause is not None
    assert (record.cause.code, record.cause.message) == ("stopped", ORDER.reason)
    assert "validation_failed" in record.cause.evidence


async def test_an_end_that_the_row_cannot_have_is_an_error_with_a_cause(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.EXECUTING)

    record = await evaluations.conclude(end(Status.VALIDATION_FAILED, cause=ORIGIN), later(9))

    assert record.status is Status.ERROR
    assert record.cause is not None
    assert "validation_failed" in record.cause.message


async def test_an_end_without_a_cause_gets_one(evaluations: Evaluations, journal: Journal) -> None:
    await bring(evaluations, Status.EXECUTING)

    record = await evaluations.conclude(end(Status.FAILED, outcome=RunOutcome.MEMORY_LIMIT), later(9))

    assert record.cause is not None
    assert record.cause.code == "memory_limit"
    assert (await journal.read(A))[-1].payload["cause"] == record.cause.model_dump(mode="json")


async def test_times_are_kept_and_never_go_back(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.EXECUTING)
    await evaluations.note_stage(A, Stage.POD_EXECUTION, later(50), {"state": "started"})

    record = await evaluations.conclude(end(Status.COMPLETED), later(20))

    assert (record.queued_at, record.started_at) == (later(0), later(1))
    assert (record.ended_at, record.updated_at) == (later(20), later(50))


async def test_changes_of_an_unknown_evaluation_are_refused(evaluations: Evaluations) -> None:
    with pytest.raises(RecordMissing):
        await evaluations.advance(to(Status.VALIDATED))
    with pytest.raises(RecordMissing):
        await evaluations.conclude(end(Status.ERROR, cause=ORIGIN), later(1))
    with pytest.raises(RecordMissing):
        await evaluations.order_stop(A, ORDER, later(1))
