"""What was kept of an execution can be told again to a workflow that has not heard of it."""

from __future__ import annotations

from domain.lifecycle import Status
from domain.outcomes import RunOutcome
from storage.evaluations import Evaluations
from tests.storage.rows import FINDING, ORDER, RUN, USE, A, a_report, bring, later
from worker.identity import identity
from worker.records import StoredRecords


async def test_before_a_receipt_there_is_nothing_to_tell(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.EXECUTING)

    assert await StoredRecords(evaluations).reported(A) is None


async def test_a_receipt_is_told_as_it_was(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.VALIDATED)
    await evaluations.begin_execution(A, RUN, identity(), later(5))
    report = a_report()
    await evaluations.record_receipt(A, report, (FINDING,), USE, later(6))

    told = await StoredRecords(evaluations).reported(A)

    assert told is not None
    assert (told.outcome, told.findings, told.isolation_level) == (report.outcome, (FINDING,), report.isolation.level)
    assert (told.result_digest is None) == (not report.has_result)


async def test_a_receipt_that_came_after_a_stop_is_a_stop(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.EXECUTING)
    await evaluations.order_stop(A, ORDER, later(5))
    await evaluations.record_receipt(A, a_report(), (), USE, later(6))

    told = await StoredRecords(evaluations).reported(A)

    assert told is not None
    assert (told.outcome, told.result_digest) == (RunOutcome.STOPPED, None)
