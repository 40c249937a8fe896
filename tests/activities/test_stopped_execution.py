"""What ends an execution before its script does: stops, kills, a worker that leaves."""

import asyncio
from datetime import datetime

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError

from activities import pod_execution
from domain.evaluation import StopOrder
from domain.outcomes import RunOutcome
from tests.activities.execution_platform import ENDLESS, EVALUATION, ID, RUN, Platform
from tests.builders import SCRIPT
from tests.fakes import Scene
from tests.memory_records import MemoryRecords


async def test_nothing_is_begun_once_a_stop_was_ordered() -> None:
    platform = Platform(Scene())
    platform.records.stops[ID] = StopOrder()

    report = await platform.start()

    assert report.outcome is RunOutcome.STOPPED
    assert (platform.sandbox.asked, platform.records.begun) == ([], {})


async def test_a_stop_between_the_look_and_the_begin_is_a_stop_and_no_lost_worker() -> None:
    class Racing(MemoryRecords):
        async def begin_execution(self, evaluation_id: str, run_id: str, worker: str, at: datetime) -> bool:
            self.stops[evaluation_id] = StopOrder(reason="a moment before")
            return evaluation_id not in self.stops and await super().begin_execution(evaluation_id, run_id, worker, at)

    platform = Platform(Scene())
    platform.records = Racing()
    platform.records.keep(EVALUATION.tenant, SCRIPT)

    report = await platform.start()

    assert report.outcome is RunOutcome.STOPPED
    assert not platform.sandbox.asked


async def test_an_ordered_stop_ends_the_run_without_any_signal() -> None:
    platform = Platform(ENDLESS)
    running = await platform.underway()

    platform.records.stops[ID] = StopOrder(reason="enough")

    assert (await running).outcome is RunOutcome.STOPPED
    assert platform.sandbox.alive == {}


async def test_one_look_that_breaks_is_not_the_last_look_for_a_stop() -> None:
    class Breaking(MemoryRecords):
        looks = 0

        async def stop_ordered(self, evaluation_id: str) -> StopOrder | None:
            self.looks += 1
            if self.looks == 2:  # the first is before the run begins
                raise ValueError("a defect")
            return await super().stop_ordered(evaluation_id)

    platform = Platform(ENDLESS)
    platform.records = Breaking()
    platform.records.keep(EVALUATION.tenant, SCRIPT)

    running = await platform.underway()
    platform.records.stops[ID] = StopOrder()

    async with asyncio.timeout(20):
        assert (await running).outcome is RunOutcome.STOPPED


async def test_a_stop_that_was_journaled_first_wins_over_the_receipt() -> None:
    platform = Platform(Scene())
    receipt = platform.records.record_receipt

    async def too_late(*arguments: object) -> bool:
        platform.records.stops[ID] = StopOrder()
        return await receipt(*arguments)  # type: ignore[arg-type]

    platform.records.record_receipt = too_late  # type: ignore[method-assign]

    report = await platform.start()

    assert (report.outcome, report.result_digest) == (RunOutcome.STOPPED, None)


async def test_a_run_that_somebody_ends_without_an_order_is_lost_and_was_not_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pod_execution, "ORDER_WITHIN", 0.05)
    platform = Platform(ENDLESS)
    running = await platform.underway()

    await platform.sandbox.kill(RUN)

    with pytest.raises(ApplicationError, match="nobody had ordered a stop") as failed:
        await running
    assert (failed.value.type, failed.value.non_retryable) == ("runner_lost", True)
    assert platform.records.receipts == {}


async def test_a_kill_that_is_faster_than_its_order_is_a_stop() -> None:
    platform = Platform(ENDLESS)
    running = await platform.underway()

    await platform.sandbox.kill(RUN)
    platform.records.stops[ID] = StopOrder()

    assert (await running).outcome is RunOutcome.STOPPED


async def test_a_requested_cancellation_ends_the_run_and_still_reports() -> None:
    platform = Platform(ENDLESS)
    running = await platform.underway()

    platform.environment.cancel()

    assert (await running).outcome is RunOutcome.STOPPED
    assert (platform.sandbox.alive, ID in platform.records.receipts) == ({}, True)


async def test_a_worker_that_shuts_down_kills_its_run_and_says_so() -> None:
    platform = Platform(ENDLESS)
    running = await platform.underway()

    platform.environment.cancel(ActivityCancellationDetails(worker_shutdown=True))

    with pytest.raises(ApplicationError) as failed:
        await running
    assert (failed.value.type, failed.value.non_retryable) == ("worker_lost", True)
    assert platform.sandbox.alive == {}


async def test_a_run_that_nobody_waits_for_is_killed() -> None:
    platform = Platform(ENDLESS)
    running = await platform.underway()

    platform.environment.cancel(ActivityCancellationDetails(not_found=True))

    with pytest.raises(asyncio.CancelledError):
        await running
    assert platform.sandbox.alive == {}
