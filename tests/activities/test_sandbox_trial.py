"""A trial reports what a script did; that everything was seen counts for more than how it ended."""

import asyncio
from dataclasses import replace

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.messages import StageTask, trial_run_id
from activities.sandbox_trial import SandboxTrial, trial_report, trial_request
from domain.errors import RunnerLost, SandboxUnavailable
from domain.evaluation import EffectiveConfig, StopOrder
from domain.findings import StageReport, Verdict
from domain.journal import EntryKind
from domain.lifecycle import Stage
from domain.limits import TRIAL_TIMEOUT_SECONDS
from domain.model_calls import ChatMessage, ModelRequest
from domain.outcomes import RunOutcome
from domain.runs import Attempt, Backend, Isolation, RunPurpose, RunRecord, RunReport
from tests.builders import SCRIPT, an_evaluation
from tests.fakes import ENVIRONMENT_DIGEST, FakeSandbox, Scene
from tests.memory_records import MemoryRecords
from worker.model_providers.canned import ANSWER
from worker.model_providers.models import CannedModels

EVALUATION = an_evaluation()
ID = EVALUATION.evaluation_id
TASK = StageTask(evaluation=EVALUATION)
ENDS_BY_ITSELF = [outcome for outcome in RunOutcome if outcome not in {RunOutcome.COMPLETED, RunOutcome.STOPPED}]


class Platform:
    """A validation worker whose surroundings a test arranges."""

    def __init__(self, scene: Scene) -> None:
        self.records = MemoryRecords()
        self.records.keep(EVALUATION.tenant, SCRIPT)
        self.sandbox = FakeSandbox(trial=scene)
        self.environment = ActivityEnvironment()

    def start(self, task: StageTask = TASK) -> "asyncio.Task[StageReport]":
        activities = SandboxTrial(self.records, self.records, self.records, self.sandbox, CannedModels())
        return asyncio.ensure_future(self.environment.run(activities.sandbox_trial, task))


def a_report(outcome: RunOutcome, *, whole: bool = True, dropped: int = 0, receipt: bool = True) -> RunReport:
    return RunReport(
        run_id="r",
        outcome=outcome,
        isolation=Isolation(backend=Backend.LANDLOCK, level=1),
        record=RunRecord(complete=whole, dropped=dropped),
        receipt=receipt,
    )


async def test_a_harmless_script_is_complete_without_findings() -> None:
    report = await Platform(Scene()).start()

    assert (report.stage, report.complete, report.completed) == (Stage.SANDBOX_TRIAL, True, True)
    assert (report.findings, report.environment_digest, report.isolation_level) == ((), ENVIRONMENT_DIGEST, 2)


async def test_what_a_script_tries_becomes_findings() -> None:
    attempts = (Attempt(kind="connect", target="203.0.113.9:443", allowed=False),)

    report = await Platform(Scene(attempts=attempts)).start()

    assert EVALUATION.policy.verdict_of(report) is Verdict.REJECTED


@pytest.mark.parametrize("outcome", ENDS_BY_ITSELF)
def test_a_trial_that_ends_badly_but_was_seen_whole_is_approved_with_a_note(outcome: RunOutcome) -> None:
    report = trial_report(a_report(outcome), ())

    assert (report.complete, report.completed) == (True, False)
    assert outcome.value in report.note
    assert EVALUATION.policy.verdict_of(report) is Verdict.APPROVED


@pytest.mark.parametrize(
    "seen",
    [
        a_report(RunOutcome.COMPLETED, whole=False),
        a_report(RunOutcome.COMPLETED, dropped=1),
        a_report(RunOutcome.COMPLETED, receipt=False),
        a_report(RunOutcome.STOPPED),
        a_report(RunOutcome.EXCEPTION).model_copy(update={"reached_script": False}),
    ],
    ids=["incomplete", "dropped", "no-receipt", "stopped", "never-reached"],
)
def test_a_trial_that_was_not_seen_whole_is_inconclusive(seen: RunReport) -> None:
    report = trial_report(seen, ())

    assert EVALUATION.policy.verdict_of(report) is Verdict.INCONCLUSIVE
    assert report.note


async def test_a_trial_whose_runner_is_lost_is_inconclusive_and_keeps_what_was_seen() -> None:
    attempts = (Attempt(kind="connect", target="203.0.113.9:443", allowed=False),)
    quiet, busy = (
        Platform(Scene(raises=RunnerLost("it left"))),
        Platform(Scene(raises=RunnerLost("it left"), attempts=attempts)),
    )

    reports = await quiet.start(), await busy.start()

    assert [EVALUATION.policy.verdict_of(each) for each in reports] == [Verdict.INCONCLUSIVE, Verdict.REJECTED]
    assert "it left" in reports[0].note


async def test_a_trial_is_short_and_answered_with_canned_words() -> None:
    asks = (ModelRequest(call=0, messages=(ChatMessage(role="user", content="hi"),)),)
    platform = Platform(Scene(asks=asks))

    await platform.start()

    asked = platform.sandbox.asked[0]
    assert (asked.purpose, asked.timeout_seconds) == (RunPurpose.TRIAL, TRIAL_TIMEOUT_SECONDS)
    assert [answer.text for answer in platform.sandbox.answers] == [ANSWER]


def test_a_trial_is_not_longer_than_the_execution_may_be() -> None:
    task = StageTask(evaluation=an_evaluation(config=EffectiveConfig(timeout=3)))

    assert trial_request(task, SCRIPT).timeout_seconds == 3


async def test_its_output_is_journaled_as_the_trials_own() -> None:
    platform = Platform(Scene(prints=("hello",)))

    await platform.start()

    (entry,) = platform.records.of_kind(ID, EntryKind.LOG)
    assert (entry.stage, entry.run) == (Stage.SANDBOX_TRIAL, trial_run_id(ID, 1))


async def test_its_start_and_end_are_journaled() -> None:
    platform = Platform(Scene())

    await platform.start()

    assert [payload["state"] for _, _, payload in platform.records.stages] == ["started", "ended"]


@pytest.mark.parametrize(
    "details",
    [ActivityCancellationDetails(cancel_requested=True), ActivityCancellationDetails(worker_shutdown=True)],
    ids=["cancelled", "shutdown"],
)
async def test_a_cancelled_trial_leaves_nothing_alive(details: ActivityCancellationDetails) -> None:
    platform = Platform(Scene(endless=True))
    running = platform.start()
    await platform.sandbox.began.wait()

    platform.environment.cancel(details)

    with pytest.raises(asyncio.CancelledError):
        await running
    assert platform.sandbox.alive == {}


async def test_an_ordered_stop_ends_it_without_any_signal() -> None:
    platform = Platform(Scene(endless=True))
    running = platform.start()
    await platform.sandbox.began.wait()

    platform.records.stops[ID] = StopOrder()

    assert not (await running).complete


async def test_another_attempt_kills_what_a_lost_worker_may_have_left() -> None:
    platform = Platform(Scene())
    platform.environment.info = replace(platform.environment.info, attempt=2)

    await platform.start()

    assert platform.sandbox.killed == [trial_run_id(ID, 1)]


async def test_a_missing_wall_is_our_failure_and_may_be_retried() -> None:
    with pytest.raises(ApplicationError) as failed:
        await Platform(Scene(raises=SandboxUnavailable("no walls"), before=True)).start()

    assert (failed.value.type, failed.value.non_retryable) == ("sandbox_unavailable", False)
