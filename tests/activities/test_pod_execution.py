"""The execution is begun once, watched, stopped when ordered, and written down."""

import asyncio
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

import pytest
from structlog.testing import capture_logs
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import pod_execution
from activities.messages import ExecutionTask, execution_run_id
from activities.pod_execution import PodExecution
from domain.errors import NodeLost, SandboxUnavailable, StorageUnavailable, WorkflowsUnavailable
from domain.evaluation import StopOrder
from domain.journal import EntryKind
from domain.lifecycle import Stage
from domain.model_calls import ChatMessage, ModelRequest
from domain.outcomes import RunOutcome
from domain.runs import Attempt, ExecutionReport
from tests.builders import QUEUED_AT, SCRIPT, an_evaluation
from tests.fakes import ENVIRONMENT_DIGEST, FakeSandbox, Scene
from tests.memory_records import MemoryRecords
from worker.model_providers.models import CannedModels

EVALUATION = an_evaluation()
ID = EVALUATION.evaluation_id
RUN = execution_run_id(ID)
TASK = ExecutionTask(evaluation=EVALUATION, environment_digest=ENVIRONMENT_DIGEST)
ENDLESS = Scene(endless=True)
EXFILTRATES = Attempt(kind="connect", target="203.0.113.9:443", allowed=False)


class Platform:
    """An execution worker whose surroundings a test arranges."""

    def __init__(self, scene: Scene) -> None:
        self.records = MemoryRecords()
        self.records.keep(EVALUATION.tenant, SCRIPT)
        self.sandbox = FakeSandbox(execution=scene)
        self.announced: list[str] = []
        self.environment = ActivityEnvironment()
        self.beats = 0
        self.environment.on_heartbeat = self._beat

    def _beat(self, *_: object) -> None:
        self.beats += 1

    async def announce(self, evaluation_id: str) -> None:
        self.announced.append(evaluation_id)

    def start(self, task: ExecutionTask = TASK) -> "asyncio.Task[ExecutionReport]":
        activities = PodExecution(
            self.records,
            self.records,
            self.records,
            self.sandbox,
            CannedModels(),
            announce=self.announce,
            worker="worker-1",
        )
        return asyncio.ensure_future(self.environment.run(activities.pod_execution, task))

    async def underway(self) -> "asyncio.Task[ExecutionReport]":
        running = self.start()
        await self.sandbox.began.wait()
        return running


async def test_a_result_is_reported_by_digest_and_kept_in_the_records() -> None:
    platform = Platform(Scene(result={"b": 1, "a": [2.5]}))

    report = await platform.start()

    assert (report.outcome, report.isolation_level) == (RunOutcome.COMPLETED, 2)
    assert report.result_digest == sha256(b'{"a":[2.5],"b":1}').hexdigest()
    assert platform.records.receipts[ID].result == {"b": 1, "a": [2.5]}


async def test_the_workflow_hears_that_the_execution_began() -> None:
    platform = Platform(ENDLESS)

    running = await platform.underway()
    announced = list(platform.announced)
    platform.environment.cancel()
    await running

    assert announced == [ID]


async def test_a_workflow_that_cannot_be_told_does_not_hold_up_the_run() -> None:
    platform = Platform(Scene())

    async def away(_: str) -> None:
        raise WorkflowsUnavailable("away")

    platform.announce = away  # type: ignore[method-assign]

    assert (await platform.start()).outcome is RunOutcome.COMPLETED


async def test_output_and_model_calls_are_journaled_by_run_and_frame() -> None:
    asks = (ModelRequest(call=0, messages=(ChatMessage(role="user", content="hi"),)),)
    platform = Platform(Scene(prints=("one", "two"), asks=asks))

    await platform.start()

    logs = platform.records.of_kind(ID, EntryKind.LOG)
    calls = platform.records.of_kind(ID, EntryKind.MODEL_CALL)
    assert [(entry.payload["text"], entry.run, entry.stage) for entry in logs] == [
        ("one", RUN, Stage.POD_EXECUTION),
        ("two", RUN, Stage.POD_EXECUTION),
    ]
    assert [entry.payload["milliseconds"] for entry in calls] == [1]
    assert len({entry.frame for entry in platform.records.entries[ID]}) == 4
    assert platform.records.uses[ID].calls == 1


async def test_an_execution_that_was_begun_is_never_begun_again() -> None:
    platform = Platform(Scene())
    platform.records.begun[ID] = ("worker-0", QUEUED_AT)

    with pytest.raises(ApplicationError) as failed:
        await platform.start()

    assert (failed.value.type, failed.value.non_retryable) == ("worker_lost", True)
    assert (platform.sandbox.asked, platform.sandbox.killed) == ([], [RUN])


async def test_an_execution_that_an_earlier_attempt_has_ended_is_reported_and_not_lost() -> None:
    platform = Platform(Scene(result={"a": 1}))
    first = await platform.start()  # and Temporal never heard of it

    assert await platform.start() == first
    assert len(platform.sandbox.asked) == 1


async def test_what_was_killed_before_anybody_ordered_it_is_lost_and_not_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pod_execution, "ORDER_WITHIN", 0.05)
    platform = Platform(ENDLESS)
    running = await platform.underway()
    await platform.sandbox.kill(RUN)  # as the same evaluation does once its workflow was reset
    with pytest.raises(ApplicationError, match="runner_lost"):
        await running

    with pytest.raises(ApplicationError) as failed:
        await platform.start()

    assert (failed.value.type, failed.value.non_retryable) == ("worker_lost", True)
    assert len(platform.sandbox.asked) == 1


async def test_what_was_stopped_for_its_behaviour_is_told_again_as_that() -> None:
    platform = Platform(Scene(endless=True, attempts=(EXFILTRATES,)))
    first = await platform.start()

    again = await platform.start()

    assert (again.outcome, again.findings) == (RunOutcome.STOPPED, first.findings)


class Forgetful(MemoryRecords):
    """Begins, and dies before it says so: so many times. Then another may be `faster`."""

    lost = 1
    faster = False

    async def begin_execution(self, evaluation_id: str, run_id: str, worker: str, at: datetime) -> bool:
        begun = await super().begin_execution(evaluation_id, run_id, "worker-2" if self.faster else worker, at)
        self.lost -= 1
        if self.lost >= 0:
            raise StorageUnavailable("the database does not answer")
        return begun and not self.faster

    def of(self, platform: Platform) -> Platform:
        self.keep(EVALUATION.tenant, SCRIPT)
        platform.records = self
        return platform


async def test_a_beginning_whose_answer_was_lost_is_the_same_beginning() -> None:
    platform = Forgetful().of(Platform(Scene(result=1)))

    report = await platform.start()

    assert report.outcome is RunOutcome.COMPLETED
    assert len(platform.sandbox.asked) == 1


async def test_a_beginning_that_another_made_meanwhile_is_left_to_it() -> None:
    records = Forgetful()
    records.faster = True
    platform = records.of(Platform(Scene(result=1)))

    with pytest.raises(ApplicationError) as failed:
        await platform.start()

    assert (failed.value.type, failed.value.non_retryable) == ("storage_unavailable", False)
    assert (platform.sandbox.asked, platform.sandbox.killed) == ([], [])


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


async def test_a_paused_execution_goes_on() -> None:
    platform = Platform(ENDLESS)
    running = await platform.underway()

    platform.environment.cancel(ActivityCancellationDetails(paused=True))
    await asyncio.sleep(0.01)
    alive = list(platform.sandbox.alive)
    platform.records.stops[ID] = StopOrder()

    assert alive == [RUN]
    assert (await running).outcome is RunOutcome.STOPPED


async def test_a_rejecting_behaviour_stops_the_run_and_is_returned() -> None:
    platform = Platform(Scene(endless=True, attempts=(EXFILTRATES,)))

    report = await platform.start()

    weights = [finding.severity.weight for finding in report.findings]
    assert weights
    assert weights[0] >= EVALUATION.policy.rejected_from.weight
    assert report.outcome is RunOutcome.STOPPED
    assert len(platform.records.of_kind(ID, EntryKind.FINDING)) == 1


async def test_another_environment_than_the_trials_is_refused() -> None:
    platform = Platform(Scene(environment_digest="0" * 64))

    with pytest.raises(ApplicationError) as failed:
        await platform.start()

    assert (failed.value.type, failed.value.non_retryable) == ("environment_changed", True)
    assert platform.sandbox.alive == {}


@pytest.mark.parametrize("lost", [SandboxUnavailable("no walls"), NodeLost("gone", "last seen")])
async def test_what_was_begun_is_not_retried_whatever_failed(lost: NodeLost) -> None:
    platform = Platform(Scene(raises=lost, before=True))

    with pytest.raises(ApplicationError) as failed:
        await platform.start()

    assert (failed.value.type, failed.value.non_retryable) == (lost.code, True)
    assert list(failed.value.details) == [lost.message, lost.evidence]


async def test_a_database_that_is_away_before_the_begin_is_waited_for() -> None:
    platform = Platform(Scene())
    platform.records.fails, platform.records.failures = StorageUnavailable("away"), 1

    with pytest.raises(ApplicationError) as failed:
        await platform.start()

    assert (failed.value.type, failed.value.non_retryable) == ("storage_unavailable", False)


async def test_a_database_that_is_away_at_the_end_does_not_cost_the_result() -> None:
    platform = Platform(ENDLESS)
    running = await platform.underway()
    platform.records.fails, platform.records.failures = StorageUnavailable("away"), 1

    platform.environment.cancel()

    assert (await running).outcome is RunOutcome.STOPPED
    assert ID in platform.records.receipts


async def test_a_deleted_script_is_told_as_such() -> None:
    platform = Platform(Scene())
    platform.records.scripts.clear()

    with pytest.raises(ApplicationError) as failed:
        await platform.start()

    assert (failed.value.type, failed.value.non_retryable) == ("script_missing", True)


async def test_an_unexpected_failure_tells_its_kind_and_not_its_text() -> None:
    platform = Platform(Scene(raises=ValueError("def secret_script(): ...")))

    with pytest.raises(ApplicationError) as failed:
        await platform.start()

    assert (failed.value.message, failed.value.type) == ("unexpected ValueError", "platform_error")
    assert failed.value.__cause__ is None


async def test_an_unexpected_failure_is_logged_as_a_whole() -> None:
    platform = Platform(Scene(raises=ValueError("a defect")))

    with capture_logs() as logged, pytest.raises(ApplicationError):
        await platform.start()

    assert [(each["error"], each["exc_info"]) for each in logged if each["event"] == "activity_broke"] == [
        ("ValueError", True)
    ]


async def test_it_lives_as_long_as_the_run_does() -> None:
    platform = Platform(ENDLESS)
    running = await platform.underway()

    beats = platform.beats
    platform.environment.cancel()
    await running

    assert beats >= 1


async def test_the_run_gets_what_was_asked_for() -> None:
    platform = Platform(Scene())
    platform.environment.info = replace(platform.environment.info, attempt=1)

    await platform.start()

    asked = platform.sandbox.asked[0]
    assert (asked.run_id, asked.script, asked.timeout_seconds) == (RUN, SCRIPT, EVALUATION.config.timeout)
    assert (asked.limits, asked.parallel) == (EVALUATION.config.limits, EVALUATION.config.model.parallel)
