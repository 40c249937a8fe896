"""An execution is begun once, and either its receipt or a stop comes first."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from domain.findings import Severity
from domain.journal import EntryKind
from domain.lifecycle import Stage, Status
from domain.limits import INLINE_RESULT_BYTES
from domain.outcomes import RunOutcome
from domain.results import canonical_json
from domain.runs import RunRecord
from storage.blobs import Blobs
from storage.database import Database
from storage.evaluations import Evaluations, StopAnswer
from storage.execution import KEPT_ATTEMPTS
from storage.journal import Journal
from tests.storage.rows import FINDING, ORDER, ORIGIN, RUN, USE, A, a_report, bring, end, later

ENDED = (Status.COMPLETED, Status.FAILED, Status.STOPPED, Status.ERROR, Status.VALIDATION_FAILED)
BEFORE = (Status.QUEUED, Status.PENDING_VALIDATION, Status.AWAITING_APPROVAL, Status.VALIDATED)


async def kinds(journal: Journal) -> list[EntryKind]:
    return [entry.kind for entry in await journal.read(A)]


@pytest.mark.parametrize("status", BEFORE)
async def test_beginning_makes_it_executing_wherever_the_row_was(evaluations: Evaluations, status: Status) -> None:
    await bring(evaluations, status)

    assert await evaluations.begin_execution(A, RUN, "worker-1", later(5))

    record = await evaluations.find(A)
    assert record is not None
    assert (record.status, record.stage, record.started_at) == (Status.EXECUTING, Stage.POD_EXECUTION, later(5))


async def test_it_is_begun_once_whoever_asks_and_how_often(database: Database, second_database: Database) -> None:
    several = [Evaluations(database), Evaluations(second_database)]
    await bring(several[0], Status.VALIDATED)

    answers = await asyncio.gather(
        *(several[n % 2].begin_execution(A, RUN, f"worker-{n}", later(5)) for n in range(20))
    )

    assert sorted(answers) == [False] * 19 + [True]


async def test_a_beginning_that_is_repeated_is_the_same_and_no_other_is(
    database: Database, second_database: Database
) -> None:
    several = [Evaluations(database), Evaluations(second_database)]
    await bring(several[0], Status.VALIDATED)
    mine = (A, RUN, "worker-1", later(5.000001))

    first = await several[0].begin_execution(*mine)
    again = await asyncio.gather(*(several[n % 2].begin_execution(*mine) for n in range(6)))
    others = [
        await several[1].begin_execution(A, RUN, "worker-2", later(5.000001)),
        await several[1].begin_execution(A, RUN, "worker-1", later(5.000002)),
    ]

    assert (first, again, others) == (True, [True] * 6, [False, False])


@pytest.mark.parametrize("status", [Status.STOPPING, *ENDED])
async def test_nothing_begins_after_a_stop_or_an_end(evaluations: Evaluations, status: Status) -> None:
    await bring(evaluations, status)

    assert not await evaluations.begin_execution(A, RUN, "worker-1", later(5))


async def test_a_stop_is_journaled_with_its_status(evaluations: Evaluations, journal: Journal) -> None:
    await bring(evaluations, Status.EXECUTING)

    assert await evaluations.order_stop(A, ORDER, later(5)) is StopAnswer.ACCEPTED

    record = await evaluations.find(A)
    assert record is not None
    assert (record.status, record.stop) == (Status.STOPPING, ORDER)
    stop, status = (await journal.read(A))[-2:]
    assert (stop.kind, stop.payload) == (EntryKind.STOP, {"reason": "too dear", "by": "key key_a"})
    assert status.payload["status"] == "stopping"
    assert await evaluations.stop_ordered(A) == ORDER


async def test_a_second_stop_changes_nothing(evaluations: Evaluations, journal: Journal) -> None:
    await bring(evaluations, Status.STOPPING)
    before = await journal.read(A)

    answer = await evaluations.order_stop(A, ORDER.model_copy(update={"reason": "again"}), later(5))

    assert answer is StopAnswer.ALREADY_ORDERED
    assert await evaluations.stop_ordered(A) == ORDER
    assert await journal.read(A) == before


@pytest.mark.parametrize("status", ENDED)
async def test_what_has_ended_is_not_stopped(evaluations: Evaluations, status: Status) -> None:
    await bring(evaluations, status)

    assert await evaluations.order_stop(A, ORDER, later(5)) is StopAnswer.ALREADY_ENDED


async def test_nobody_ordered_a_stop_of_what_is_unknown_or_running(evaluations: Evaluations) -> None:
    assert await evaluations.stop_ordered(A) is None
    await bring(evaluations, Status.EXECUTING)
    assert await evaluations.stop_ordered(A) is None


async def test_after_a_receipt_a_stop_comes_too_late(evaluations: Evaluations, journal: Journal) -> None:
    await bring(evaluations, Status.EXECUTING)
    assert await evaluations.record_receipt(A, a_report(7), (FINDING,), USE, later(5))

    assert await evaluations.order_stop(A, ORDER, later(6)) is StopAnswer.ALREADY_ENDED

    assert EntryKind.STOP not in await kinds(journal)
    record = await evaluations.conclude(end(Status.COMPLETED, outcome=RunOutcome.COMPLETED), later(7))
    assert (record.status, record.stop, record.findings) == (Status.COMPLETED, None, (FINDING,))
    assert await evaluations.result(record) == 7


async def test_a_stop_that_was_carried_out_before_it_is_journaled_is_kept(
    evaluations: Evaluations, journal: Journal
) -> None:
    await bring(evaluations, Status.EXECUTING)
    killed = a_report(outcome=RunOutcome.STOPPED, has_result=False)
    assert await evaluations.record_receipt(A, killed, (FINDING,), USE, later(5))

    assert await evaluations.order_stop(A, ORDER, later(6)) is StopAnswer.ACCEPTED

    record = await evaluations.conclude(end(Status.STOPPED, cause=ORIGIN, outcome=RunOutcome.STOPPED), later(7))
    assert (record.status, record.stop) == (Status.STOPPED, ORDER)
    told = [EntryKind.RECEIPT, EntryKind.STOP, EntryKind.STATUS, EntryKind.STATUS]
    assert (await kinds(journal))[-4:] == told


async def test_a_run_that_was_ended_for_what_it_did_is_not_stopped_afterwards(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.EXECUTING)
    killed = a_report(outcome=RunOutcome.STOPPED, has_result=False)
    grave = FINDING.model_copy(update={"severity": Severity.CRITICAL})
    await evaluations.record_receipt(A, killed, (grave,), USE, later(5))

    assert await evaluations.order_stop(A, ORDER, later(6)) is StopAnswer.ALREADY_ENDED


async def test_after_a_stop_a_receipt_is_evidence_alone(evaluations: Evaluations, journal: Journal) -> None:
    await bring(evaluations, Status.STOPPING)

    assert not await evaluations.record_receipt(A, a_report(7), (), USE, later(5))

    record = await evaluations.conclude(end(Status.STOPPED, cause=ORIGIN, outcome=RunOutcome.STOPPED), later(7))
    assert record.report is not None
    assert record.report.after_stop
    assert record.report.model_use == USE
    assert not record.report.has_result
    assert await evaluations.result(record) is None
    receipt = next(entry for entry in await journal.read(A) if entry.kind is EntryKind.RECEIPT)
    assert receipt.payload["after_stop"] is True


@pytest.mark.parametrize("round_", range(10))
async def test_of_a_receipt_and_a_stop_at_once_exactly_one_counts(
    database: Database, second_database: Database, round_: int
) -> None:
    evaluations, others = Evaluations(database), Evaluations(second_database)
    await bring(evaluations, Status.EXECUTING)

    asked = [evaluations.record_receipt(A, a_report(7), (), USE, later(5)), others.order_stop(A, ORDER, later(5))]
    if round_ % 2:
        asked.reverse()
    receipt, stop = sorted(await asyncio.gather(*asked), key=lambda answer: isinstance(answer, StopAnswer))

    record = await evaluations.find(A)
    assert record is not None
    assert record.report is not None
    if receipt:
        assert (stop, record.status, record.stop) == (StopAnswer.ALREADY_ENDED, Status.EXECUTING, None)
        assert record.report.has_result
    else:
        assert (stop, record.status, record.stop) == (StopAnswer.ACCEPTED, Status.STOPPING, ORDER)
        assert not record.report.has_result


@pytest.mark.parametrize("status", [Status.EXECUTING, Status.STOPPING])
async def test_a_receipt_that_is_written_twice_is_kept_once(
    evaluations: Evaluations, journal: Journal, status: Status
) -> None:
    await bring(evaluations, status)
    first = await evaluations.record_receipt(A, a_report(7), (), USE, later(5))
    before = await evaluations.find(A), await journal.read(A)

    assert await evaluations.record_receipt(A, a_report("other"), (FINDING,), USE, later(6)) is first

    assert (await evaluations.find(A), await journal.read(A)) == before


async def test_a_receipt_after_the_end_changes_nothing(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.ERROR)
    before = await evaluations.find(A)

    assert not await evaluations.record_receipt(A, a_report(7), (), USE, later(5))

    assert await evaluations.find(A) == before


@pytest.mark.parametrize("size", [INLINE_RESULT_BYTES, INLINE_RESULT_BYTES + 1])
async def test_a_large_result_is_a_blob_and_a_small_one_is_in_the_row(
    evaluations: Evaluations, database: Database, size: int
) -> None:
    result = "x" * (size - 2)  # its JSON has quotes
    digest = sha256(canonical_json(result)).hexdigest()
    await bring(evaluations, Status.EXECUTING)

    await evaluations.record_receipt(A, a_report(result), (), USE, later(5))

    record = await evaluations.find(A)
    assert record is not None
    assert record.report is not None
    assert (record.report.result_digest, record.report.result_size) == (digest, size)
    assert record.report.result_in_blob is (size > INLINE_RESULT_BYTES)
    assert (await Blobs(database).get("tenant-a", digest) is not None) is (size > INLINE_RESULT_BYTES)
    assert await evaluations.result(record) == result


async def test_a_result_of_null_is_a_result(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.EXECUTING)

    await evaluations.record_receipt(A, a_report(None), (), USE, later(5))

    record = await evaluations.find(A)
    assert record is not None
    assert record.report is not None
    assert record.report.has_result
    assert record.report.result_digest == sha256(b"null").hexdigest()


async def test_a_record_is_summed_up(evaluations: Evaluations) -> None:
    report = a_report(7)
    many = RunRecord(attempts=report.record.attempts[:1] * 100 + report.record.attempts[1:], dropped=2, complete=True)
    await bring(evaluations, Status.EXECUTING)

    await evaluations.record_receipt(A, report.model_copy(update={"record": many}), (), USE, later(5))

    record = await evaluations.find(A)
    assert record is not None
    assert record.report is not None
    summary = record.report.record
    assert (summary.kinds, summary.refused, summary.dropped) == ({"open": 100, "connect": 3}, 3, 2)
    assert len(summary.attempts) == KEPT_ATTEMPTS
    assert summary.attempts[0].kind == "connect"


async def test_the_journaled_receipt_holds_nothing_that_the_script_wrote(
    evaluations: Evaluations, journal: Journal
) -> None:
    await bring(evaluations, Status.EXECUTING)

    await evaluations.record_receipt(A, a_report("the script's result"), (), USE, later(5))

    receipt = (await journal.read(A))[-1]
    assert receipt.payload["outcome"] == "completed"
    assert "the script's" not in receipt.model_dump_json()


async def test_half_a_surrogate_pair_costs_no_receipt(evaluations: Evaluations):
    await bring(evaluations, Status.EXECUTING)
    report = a_report({"text": "\ud800"}).model_copy(update={"message": "\udfff!"})

    kept = await evaluations.record_receipt(A, report, (), USE, later(5))

    record = await evaluations.find(A)
    assert kept
    assert record is not None
    assert record.report is not None
    assert record.report.message == "\ufffd!"
    assert await evaluations.result(record) == {"text": "\ud800"}
