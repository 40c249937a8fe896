"""What the workflow decides is written down; repeated, it stays as it was."""

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.messages import Conclusion, KillTask, StatusNotice, StopNotice
from activities.record_keeping import RecordKeeping
from activities.run_kill import RunKill
from domain.errors import StopUnconfirmed, StorageUnavailable
from domain.evaluation import EvaluationEnd, StopOrder
from domain.lifecycle import Status
from domain.outcomes import RunOutcome
from domain.runs import Backend, Isolation, RunReport
from tests.builders import QUEUED_AT, an_evaluation
from tests.fakes import FakeSandbox
from tests.memory_records import MemoryRecords

ID = an_evaluation().evaluation_id
STOP = StopNotice(evaluation_id=ID, order=StopOrder(reason="enough"), at=QUEUED_AT)


async def test_a_status_is_written_down() -> None:
    records = MemoryRecords()
    notice = StatusNotice(evaluation_id=ID, status=Status.PENDING_VALIDATION, at=QUEUED_AT)

    await ActivityEnvironment().run(RecordKeeping(records).record_status, notice)

    assert records.statuses[ID][-1] is Status.PENDING_VALIDATION


async def test_a_stop_is_first_unless_a_receipt_was() -> None:
    records = MemoryRecords()
    keeping = RecordKeeping(records)

    before = await ActivityEnvironment().run(keeping.record_stop, STOP)
    records.stops.clear()
    records.receipts[ID] = RunReport(
        run_id="r", outcome=RunOutcome.COMPLETED, isolation=Isolation(backend=Backend.LANDLOCK, level=1)
    )
    after = await ActivityEnvironment().run(keeping.record_stop, STOP)

    assert (before, after) == (True, False)


async def test_the_first_end_stays() -> None:
    records = MemoryRecords()
    keeping = RecordKeeping(records)

    for status in (Status.STOPPED, Status.ERROR):
        conclusion = Conclusion(end=EvaluationEnd(evaluation_id=ID, status=status), at=QUEUED_AT)
        await ActivityEnvironment().run(keeping.conclude, conclusion)

    assert records.ends[ID].end.status is Status.STOPPED


async def test_a_database_that_is_away_may_be_asked_again() -> None:
    records = MemoryRecords()
    records.fails, records.failures = StorageUnavailable("away"), 1

    with pytest.raises(ApplicationError) as failed:
        await ActivityEnvironment().run(RecordKeeping(records).record_stop, STOP)

    assert (failed.value.type, failed.value.non_retryable) == ("storage_unavailable", False)


async def test_every_sandbox_is_asked_to_kill_every_run() -> None:
    sandboxes = [FakeSandbox(), FakeSandbox()]
    task = KillTask(evaluation_id=ID, run_ids=("one", "two"))

    await ActivityEnvironment().run(RunKill(sandboxes).kill_run, task)

    assert [sandbox.killed for sandbox in sandboxes] == [["one", "two"]] * 2


class Undead(FakeSandbox):
    async def kill(self, run_id: str) -> bool:
        raise StopUnconfirmed("still there", run_id)


async def test_a_death_that_nobody_can_confirm_is_told() -> None:
    with pytest.raises(ApplicationError) as failed:
        await ActivityEnvironment().run(RunKill([Undead()]).kill_run, KillTask(evaluation_id=ID, run_ids=("one",)))

    assert failed.value.type == "stop_unconfirmed"


async def test_what_does_not_die_saves_nothing_else() -> None:
    other, task = FakeSandbox(), KillTask(evaluation_id=ID, run_ids=("one", "two"))

    with pytest.raises(ApplicationError):
        await ActivityEnvironment().run(RunKill([Undead(), other]).kill_run, task)

    assert other.killed == ["one", "two"]
