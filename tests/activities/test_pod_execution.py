"""The execution is begun once, watched, stopped when ordered, and written down."""

import asyncio
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

import pytest
from structlog.testing import capture_logs
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError

from activities import pod_execution
from domain.errors import NodeLost, SandboxUnavailable, StorageUnavailable, WorkflowsUnavailable
from domain.evaluation import StopOrder
from domain.journal import EntryKind
from domain.lifecycle import Stage
from domain.model_calls import ChatMessage, ModelRequest
from domain.outcomes import RunOutcome
from tests.activities.execution_platform import ENDLESS, EVALUATION, EXFILTRATES, ID, RUN, Platform
from tests.builders import QUEUED_AT, SCRIPT
from tests.fakes import Scene
from tests.memory_records import MemoryRecords


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
