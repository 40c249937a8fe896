"""The sweep leaves no evaluation without a workflow, a deadline, a heard stop, or an end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from domain.errors import StopUnconfirmed, WorkflowLost, WorkflowRefused, WorkflowsUnavailable
from domain.evaluation import Evaluation, EvaluationEnd, StopOrder
from domain.lifecycle import Status
from domain.retention import Retention
from storage.evaluations import EvaluationRecord, Evaluations
from storage.oversight import Oversight
from tests.storage.rows import ORDER, ORIGIN, USE, A, a_report, bring, end, later, new
from worker.departures import Departure
from worker.sweep import QUEUED_FOR, QUIET_FOR, STOPPING_FOR, Sweep
from workflows.causes import NO_WORKER


@dataclass
class Temporal:
    """Workflows, as far as a sweep sees them. `away`: nobody answers. `breaks_at`: a bug of ours strikes there.

    `refuses`: what Temporal takes no more for.
    """

    started: list[str] = field(default_factory=list[str])
    stopped: list[tuple[str, StopOrder]] = field(default_factory=list[tuple[str, StopOrder]])
    departed: dict[str, Departure] = field(default_factory=dict[str, Departure])
    away: bool = False
    breaks_at: str = ""
    refuses: str = ""

    async def start(self, evaluation: Evaluation) -> None:
        self._answer()
        if evaluation.evaluation_id == self.breaks_at:
            raise ValueError(evaluation.evaluation_id)
        self.started.append(evaluation.evaluation_id)

    async def stop(self, evaluation_id: str, order: StopOrder) -> bool:
        self._answer()
        if evaluation_id == self.refuses:
            raise WorkflowRefused("no more of this one", "INVALID_ARGUMENT")
        self.stopped.append((evaluation_id, order))
        return evaluation_id not in self.departed

    async def find(self, evaluation_id: str) -> Departure | None:
        self._answer()
        return self.departed.get(evaluation_id)

    def _answer(self) -> None:
        if self.away:
            raise WorkflowsUnavailable("away")


@pytest.fixture
def temporal() -> Temporal:
    return Temporal()


@pytest.fixture
def sweep(evaluations: Evaluations, oversight: Oversight, temporal: Temporal) -> Sweep:
    return Sweep(evaluations, oversight, temporal, temporal, now=lambda: later(1000))


async def the_record(evaluations: Evaluations, evaluation_id: str = A) -> EvaluationRecord:
    record = await evaluations.find(evaluation_id)
    assert record is not None
    return record


async def test_a_row_without_a_workflow_gets_one_once(
    evaluations: Evaluations, sweep: Sweep, temporal: Temporal
) -> None:
    await evaluations.submit(new(), None)

    assert await sweep.start_forgotten() == 1
    assert await sweep.start_forgotten() == 0

    assert temporal.started == [A]


async def test_a_row_that_cannot_be_started_keeps_no_later_one_waiting(
    evaluations: Evaluations, sweep: Sweep, temporal: Temporal
) -> None:
    later_one = new("b", queued_after=1)
    await evaluations.submit(new("a"), None)
    await evaluations.submit(later_one, None)
    temporal.breaks_at = A

    assert await sweep.start_forgotten() == 1

    assert temporal.started == [later_one.evaluation.evaluation_id]


async def test_a_row_stays_without_a_workflow_while_temporal_is_away(
    evaluations: Evaluations, sweep: Sweep, temporal: Temporal
) -> None:
    await evaluations.submit(new(), None)
    temporal.away = True

    with pytest.raises(WorkflowsUnavailable):
        await sweep.start_forgotten()
    temporal.away = False

    assert await sweep.start_forgotten() == 1


async def test_what_nobody_takes_ends_with_a_cause_and_its_workflow_is_stopped(
    evaluations: Evaluations, oversight: Oversight, temporal: Temporal
) -> None:
    await evaluations.submit(new(), None)
    now = later(QUEUED_FOR.total_seconds())

    assert await Sweep(evaluations, oversight, temporal, temporal, now=lambda: now).end_overdue() == 1

    record = await the_record(evaluations)
    assert record.status is Status.ERROR
    assert record.cause is not None
    assert (record.cause.code, record.cause.retryable) == (NO_WORKER, True)
    assert [stopped for stopped, _ in temporal.stopped] == [A]


async def test_what_waits_within_its_deadline_goes_on_waiting(evaluations: Evaluations, sweep: Sweep) -> None:
    await evaluations.submit(new(), None)

    assert await sweep.end_overdue() == 0
    assert (await the_record(evaluations)).status is Status.QUEUED


async def test_a_journaled_stop_is_told_again_in_its_own_words(
    evaluations: Evaluations, oversight: Oversight, temporal: Temporal
) -> None:
    await bring(evaluations, Status.STOPPING)
    sweep = Sweep(evaluations, oversight, temporal, temporal, now=lambda: later(10))

    assert await sweep.repeat_stops() == 1

    assert temporal.stopped == [(A, ORDER)]
    assert (await the_record(evaluations)).status is Status.STOPPING


async def test_a_workflow_that_takes_no_more_keeps_no_later_stop_waiting(
    evaluations: Evaluations, oversight: Oversight, temporal: Temporal
) -> None:
    await bring(evaluations, Status.STOPPING)
    later_one = await bring(evaluations, Status.STOPPING, "b")
    temporal.refuses = A
    sweep = Sweep(evaluations, oversight, temporal, temporal, now=lambda: later(10))

    assert await sweep.repeat_stops() == 1

    assert [stopped for stopped, _ in temporal.stopped] == [later_one]


async def test_a_stop_that_nobody_confirms_ends_as_unconfirmed(evaluations: Evaluations, sweep: Sweep) -> None:
    await bring(evaluations, Status.STOPPING)

    await sweep.repeat_stops()

    record = await the_record(evaluations)
    assert record.status is Status.ERROR
    assert record.cause is not None
    assert record.cause.code == StopUnconfirmed.code


async def test_a_stop_whose_run_has_reported_is_confirmed(evaluations: Evaluations, sweep: Sweep) -> None:
    await bring(evaluations, Status.EXECUTING)
    await evaluations.order_stop(A, ORDER, later(5))
    await evaluations.record_receipt(A, a_report("late"), (), USE, later(6))

    await sweep.repeat_stops()

    record = await the_record(evaluations)
    assert record.status is Status.STOPPED
    assert record.cause is not None
    assert record.cause.message == ORDER.reason
    assert later(1000) - later(6) > STOPPING_FOR


@pytest.mark.parametrize("status", [Status.PENDING_VALIDATION, Status.AWAITING_APPROVAL, Status.EXECUTING])
async def test_an_evaluation_does_not_outlive_its_workflow(
    evaluations: Evaluations, sweep: Sweep, temporal: Temporal, status: Status
) -> None:
    await bring(evaluations, status)
    await evaluations.mark_started(A)
    temporal.departed[A] = Departure("terminated")

    assert await sweep.end_departed() == 1

    record = await the_record(evaluations)
    assert record.status is Status.ERROR
    assert record.cause is not None
    assert (record.cause.code, record.cause.retryable) == (WorkflowLost.code, True)
    assert "terminated" in record.cause.message


async def test_an_end_that_a_workflow_returned_is_kept(
    evaluations: Evaluations, sweep: Sweep, temporal: Temporal
) -> None:
    await bring(evaluations, Status.EXECUTING)
    await evaluations.mark_started(A)
    temporal.departed[A] = Departure("completed", EvaluationEnd(evaluation_id=A, status=Status.COMPLETED))

    await sweep.end_departed()

    assert (await the_record(evaluations)).status is Status.COMPLETED


async def test_an_open_workflow_is_left_alone(evaluations: Evaluations, sweep: Sweep) -> None:
    await bring(evaluations, Status.AWAITING_APPROVAL)
    await evaluations.mark_started(A)

    assert await sweep.end_departed() == 0
    assert (await the_record(evaluations)).status is Status.AWAITING_APPROVAL


async def test_what_has_moved_lately_is_not_looked_at(
    evaluations: Evaluations, oversight: Oversight, temporal: Temporal
) -> None:
    await bring(evaluations, Status.EXECUTING)
    await evaluations.mark_started(A)
    temporal.departed[A] = Departure("gone")
    sweep = Sweep(evaluations, oversight, temporal, temporal, now=lambda: later(QUIET_FOR.total_seconds()))

    assert await sweep.end_departed() == 0


async def test_two_sweeps_at_once_come_to_the_same(
    evaluations: Evaluations, oversight: Oversight, temporal: Temporal
) -> None:
    sweeps = [Sweep(evaluations, oversight, temporal, temporal, now=lambda: later(1000)) for _ in range(2)]
    b = await bring(evaluations, Status.EXECUTING, "b")
    await evaluations.mark_started(b)
    temporal.departed[b] = Departure("gone")

    for sweep in sweeps:
        await sweep.end_departed()

    record = await the_record(evaluations, b)
    assert record.status is Status.ERROR


def keeping(evaluations: Evaluations, oversight: Oversight, temporal: Temporal, days: int, **by_tenant: int) -> Sweep:
    """A sweep ten days later."""
    retention = Retention(days={"tenant-a": days, **by_tenant})
    return Sweep(evaluations, oversight, temporal, temporal, retention, now=lambda: later(10 * 86_400))


@pytest.mark.parametrize(("days", "deleted"), [(9, 1), (11, 0)])
async def test_a_payload_is_deleted_after_the_days_of_its_tenant(
    evaluations: Evaluations, oversight: Oversight, temporal: Temporal, days: int, deleted: int
) -> None:
    await bring(evaluations, Status.COMPLETED)
    sweep = keeping(evaluations, oversight, temporal, days)

    assert await sweep.delete_expired() == deleted
    assert await sweep.delete_expired() == 0

    record = await the_record(evaluations)
    assert record.status is Status.COMPLETED
    assert (record.deleted_at is not None) == bool(deleted)


async def test_what_is_under_way_expires_never(
    evaluations: Evaluations, oversight: Oversight, temporal: Temporal
) -> None:
    await bring(evaluations, Status.AWAITING_APPROVAL)

    assert await keeping(evaluations, oversight, temporal, 1).delete_expired() == 0


async def test_a_tenant_that_is_not_named_keeps_its_own_or_is_one_of_all_others(
    evaluations: Evaluations, oversight: Oversight, temporal: Temporal
) -> None:
    await evaluations.submit(new("b", tenant="tenant-b"), None)
    await evaluations.conclude(end(Status.ERROR, "b", ORIGIN), later(3))

    assert await keeping(evaluations, oversight, temporal, 1).delete_expired() == 0
    assert await keeping(evaluations, oversight, temporal, 1, **{"*": 11}).delete_expired() == 0
    assert await keeping(evaluations, oversight, temporal, 1, **{"*": 9}).delete_expired() == 1


async def test_without_a_setting_nothing_expires(evaluations: Evaluations, sweep: Sweep) -> None:
    await bring(evaluations, Status.COMPLETED)

    assert await sweep.delete_expired() == 0
