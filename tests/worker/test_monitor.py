"""The monitor ends runs that must not be alive, leaves the others alone, and journals each of its acts once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from activities.messages import trial_run_id
from domain.errors import StopUnconfirmed
from domain.journal import EntryKind
from domain.lifecycle import EXECUTION_ALLOWANCE, Status
from storage.evaluations import Evaluations
from storage.journal import Journal
from storage.oversight import Oversight, RunOwner
from tests.storage.rows import ORDER, RUN, A, bring, later
from worker.acts import Acts
from worker.identity import identity
from worker.monitor import Monitor
from worker.reasons import END_PATIENCE, STOP_PATIENCE, TRIAL_ALLOWANCE, Reason, Seen, why_to_end

BEGUN = later(5)
SECOND = timedelta(seconds=1)
RUNNING = RunOwner(
    status=Status.EXECUTING, ended_at=None, stopped_at=None, timeout_seconds=300, begun_at=BEGUN, worker=identity()
)


@dataclass
class Machine:
    """The runs of one backend. `immortal`: they outlive a kill."""

    alive: list[str] = field(default_factory=lambda: [RUN])
    immortal: bool = False
    kills: list[str] = field(default_factory=list[str])

    async def runs(self) -> tuple[str, ...]:
        return tuple(self.alive)

    async def kill(self, run_id: str) -> bool:
        self.kills.append(run_id)
        if self.immortal:
            raise StopUnconfirmed("it does not die")
        was_alive = run_id in self.alive
        self.alive = [alive for alive in self.alive if alive != run_id]
        return was_alive


@dataclass
class Clock:
    """Stands still until a test moves it."""

    seconds: float = 10

    def __call__(self):
        return later(self.seconds)


def reason_after(owner: RunOwner | None, time: timedelta, run_id: str = RUN) -> Reason | None:
    seen = Seen(BEGUN)
    seen.stop = owner.stopped_at if owner else None
    return why_to_end(run_id, seen, owner, BEGUN + time)


def test_a_run_that_may_go_on_does() -> None:
    assert reason_after(RUNNING, timedelta(seconds=300)) is None


def test_a_stop_is_first_left_to_the_runs_worker() -> None:
    stopping = RUNNING._replace(status=Status.STOPPING, stopped_at=BEGUN)

    assert reason_after(stopping, STOP_PATIENCE - SECOND) is None
    assert reason_after(stopping, STOP_PATIENCE) is Reason.STOP_ORDERED


def test_a_stop_from_a_clock_ahead_of_ours_is_not_waited_for_longer() -> None:
    seen, stopping = Seen(BEGUN), RUNNING._replace(status=Status.STOPPING, stopped_at=BEGUN + timedelta(hours=1))

    assert why_to_end(RUN, seen, stopping, BEGUN) is None
    assert why_to_end(RUN, seen, stopping, BEGUN + STOP_PATIENCE) is Reason.STOP_ORDERED


def test_a_run_ends_with_its_evaluation() -> None:
    ended = RUNNING._replace(status=Status.ERROR, ended_at=BEGUN)

    assert reason_after(ended, END_PATIENCE - SECOND) is None
    assert reason_after(ended, END_PATIENCE) is Reason.ENDED


def test_a_run_that_no_evaluation_owns_is_ended_at_once() -> None:
    assert reason_after(None, timedelta()) is Reason.OWNERLESS


def test_a_worker_may_try_its_sandbox_out_as_long_as_a_trial() -> None:
    assert reason_after(None, TRIAL_ALLOWANCE - SECOND, "probe-1") is None
    assert reason_after(None, TRIAL_ALLOWANCE, "probe-1") is Reason.OVERDUE


def test_a_run_ends_with_its_worker() -> None:
    machine, _, _ = identity().rpartition(":")

    assert reason_after(RUNNING._replace(worker=f"{machine}:1"), timedelta()) is Reason.WORKER_GONE


def test_a_run_has_its_timeout_and_the_allowance_and_no_more() -> None:
    time = timedelta(seconds=RUNNING.timeout_seconds) + EXECUTION_ALLOWANCE

    assert reason_after(RUNNING, time - SECOND) is None
    assert reason_after(RUNNING, time) is Reason.OVERDUE


def test_a_trial_has_the_time_of_its_stage() -> None:
    reviewed = RUNNING._replace(status=Status.PENDING_VALIDATION, begun_at=None, worker=None)

    assert reason_after(reviewed, TRIAL_ALLOWANCE - SECOND, trial_run_id(A, 1)) is None
    assert reason_after(reviewed, TRIAL_ALLOWANCE, trial_run_id(A, 1)) is Reason.OVERDUE


async def test_a_stop_that_nobody_acts_on_is_carried_out_and_journaled(
    evaluations: Evaluations, oversight: Oversight, journal: Journal
) -> None:
    machine, clock = Machine(), Clock()
    monitor = Monitor([machine], oversight, Acts(journal, now=clock), clock)
    await bring(evaluations, Status.VALIDATED)
    await evaluations.begin_execution(A, RUN, identity(), later(5))
    assert await monitor.patrol() == ()
    await evaluations.order_stop(A, ORDER, later(10))
    clock.seconds = 12

    assert await monitor.patrol() == (RUN,)
    assert machine.alive == []
    entries = await journal.read(A, kinds=frozenset({EntryKind.LOG}))
    assert [(entry.run, entry.payload["stream"]) for entry in entries] == [(RUN, "airlock")]
    assert str(entries[0].payload["text"]).startswith(Reason.STOP_ORDERED)


async def test_a_run_that_does_not_die_is_tried_again_and_told_once(
    evaluations: Evaluations, oversight: Oversight, journal: Journal
) -> None:
    machine, clock = Machine(immortal=True), Clock()
    monitor = Monitor([machine], oversight, Acts(journal, now=clock), clock)
    await bring(evaluations, Status.STOPPING)

    await monitor.patrol()
    await monitor.patrol()

    assert machine.kills == [RUN, RUN]
    (entry,) = await journal.read(A, kinds=frozenset({EntryKind.LOG}))
    assert "could not be ended" in str(entry.payload["text"])


async def test_a_run_without_a_row_is_ended_and_the_others_are_left_alone(
    evaluations: Evaluations, oversight: Oversight, journal: Journal
) -> None:
    await bring(evaluations, Status.EXECUTING)
    ownerless = f"{'eval_' + 'z' * 26}-trial-1"
    machine = Machine(alive=[RUN, ownerless])

    assert await Monitor([machine], oversight, Acts(journal), Clock()).patrol() == (ownerless,)
    assert machine.alive == [RUN]


async def test_nothing_is_asked_of_the_database_while_nothing_runs() -> None:
    class Untouchable(Oversight):
        async def owners(self, evaluation_ids: object) -> dict[str, RunOwner]:
            pytest.fail(f"asked for {evaluation_ids}")

    monitor = Monitor([Machine(alive=[])], Untouchable(None), Acts(Journal(None)), Clock())  # type: ignore[arg-type]

    assert await monitor.patrol() == ()
