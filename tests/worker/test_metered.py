"""What workers count: ends of runs, refusals, stops, model calls, stages, queues, and what the monitor does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.messages import Conclusion, StageTask
from activities.sandbox_trial import trial_request
from domain.errors import SandboxUnavailable, StorageUnavailable
from domain.evaluation import EvaluationEnd
from domain.findings import StageReport
from domain.lifecycle import Stage, Status
from domain.model_calls import ChatMessage, ModelRequest
from domain.outcomes import RunOutcome
from domain.runs import RunRequest
from sandbox.port import RunEvent
from storage.evaluations import Evaluations
from storage.oversight import Oversight
from tests.fakes import FakeSandbox, Scene, no_model
from tests.figures import Figures
from tests.storage.rows import ORDER, A, bring, later, new
from worker.metered_activities import MeteredActivities
from worker.metered_sandbox import MeteredSandbox
from worker.queue_gauges import QueueGauges

TASK = StageTask(evaluation=new().evaluation)
REQUEST = trial_request(TASK, b"print()")
ASKED = ModelRequest(call=0, messages=(ChatMessage(role="user", content="?"),))


async def watched(_: RunEvent) -> None:
    pass


async def never(_: str) -> datetime | None:
    return None


async def run(sandbox: MeteredSandbox, stop: asyncio.Event | None = None, request: RunRequest = REQUEST) -> Any:
    async with sandbox:
        return await sandbox.run(request, answer=no_model, watch=watched, stop=stop or asyncio.Event())


async def test_a_run_counts_once_by_its_outcome_and_its_model_calls_by_theirs() -> None:
    figures = Figures()
    sandbox = FakeSandbox(trial=Scene(outcome=RunOutcome.EXCEPTION, asks=(ASKED, ASKED)))

    await run(MeteredSandbox(sandbox, figures, never))

    assert figures.counted["airlock_run_outcomes", "trial", "bubblewrap", "exception"] == 1
    assert figures.counted["airlock_model_calls", "trial", "unavailable"] == 2
    assert figures.gauges["airlock_runs_alive", "trial"] == 0
    assert not any(key[0] == "airlock_stop_seconds" for key in figures.observed)


async def test_a_refusal_counts_by_its_code_and_is_passed_on() -> None:
    figures = Figures()
    sandbox = FakeSandbox(trial=Scene(before=True, raises=SandboxUnavailable("no seccomp here")))

    with pytest.raises(SandboxUnavailable):
        await run(MeteredSandbox(sandbox, figures, never))

    assert figures.counted["airlock_run_failures", "trial", "bubblewrap", "sandbox_unavailable"] == 1
    assert figures.gauges["airlock_runs_alive", "trial"] == 0


async def test_a_refusal_is_there_as_zero_before_the_first_so_that_an_increase_is_seen() -> None:
    figures = Figures()

    MeteredSandbox(FakeSandbox(), figures, never)

    assert figures.counted["airlock_run_failures", "trial", "bubblewrap", "sandbox_unavailable"] == 0


async def test_a_stop_is_measured_from_the_journal_to_the_death() -> None:
    figures, asked = Figures(), list[str]()

    async def stopped_at(evaluation_id: str) -> datetime:
        asked.append(evaluation_id)
        return later(10)

    stop = asyncio.Event()
    stop.set()
    await run(MeteredSandbox(FakeSandbox(trial=Scene(endless=True)), figures, stopped_at, lambda: later(10.25)), stop)

    assert figures.observed["airlock_stop_seconds", "trial"] == [0.25]
    assert asked == [TASK.evaluation.evaluation_id]


async def test_a_run_that_is_cancelled_is_measured_too_and_stays_cancelled() -> None:
    figures, sandbox = Figures(), FakeSandbox(trial=Scene(endless=True))

    async def stopped_at(_: str) -> datetime:
        return later(10)

    running = asyncio.create_task(run(MeteredSandbox(sandbox, figures, stopped_at, lambda: later(11))))
    await sandbox.began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert figures.observed["airlock_stop_seconds", "trial"] == [1.0]


async def test_a_database_that_is_away_costs_a_figure_and_no_run() -> None:
    async def away(_: str) -> datetime | None:
        raise StorageUnavailable("away")

    figures, stop = Figures(), asyncio.Event()
    stop.set()
    report = await run(MeteredSandbox(FakeSandbox(trial=Scene(endless=True)), figures, away), stop)

    assert report.outcome is RunOutcome.STOPPED
    assert not any(key[0] == "airlock_stop_seconds" for key in figures.observed)


class Following(ActivityInboundInterceptor):
    """An activity that returns or raises what the test says."""

    def __init__(self, result: Any) -> None:
        self._result = result

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ARG002 - the SDK's name
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result


async def performed(name: str, argument: Any, result: Any) -> Figures:
    figures, environment = Figures(), ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), activity_type=name)
    interceptor = MeteredActivities(figures).intercept_activity(Following(result))
    task = ExecuteActivityInput(fn=never, args=[argument], executor=None, headers={})
    try:
        await environment.run(interceptor.execute_activity, task)
    except ApplicationError:
        assert isinstance(result, ApplicationError)
    return figures


async def test_a_stage_counts_by_what_it_says() -> None:
    figures = await performed("quick_checks", TASK, StageReport(stage=Stage.QUICK_CHECKS, complete=True))

    assert figures.counted["airlock_stage_verdicts", "quick_checks", "approved"] == 1
    assert len(figures.observed["airlock_stage_seconds", "quick_checks"]) == 1


async def test_a_stage_that_fails_counts_by_its_code_alone() -> None:
    figures = await performed("sandbox_trial", TASK, ApplicationError("words", type="worker_lost"))

    assert figures.counted == {("airlock_stage_failures", "sandbox_trial", "worker_lost"): 1}


async def test_an_end_counts_by_its_status() -> None:
    end = EvaluationEnd(evaluation_id=A, status=Status.TIMED_OUT)

    figures = await performed("conclude", Conclusion(end=end, at=later(1)), None)

    assert figures.counted == {("airlock_evaluations_ended", "timed_out"): 1}


async def test_queues_are_told_with_the_age_of_their_oldest(evaluations: Evaluations, oversight: Oversight) -> None:
    figures = Figures()
    await evaluations.submit(new(), None)

    await QueueGauges(oversight, figures, lambda: later(60)).measure()

    assert figures.gauges["airlock_evaluations_open", "queued"] == 1
    assert figures.gauges["airlock_queue_age_seconds", "queued"] == 60 - (
        new().evaluation.queued_at - later(0)
    ) / timedelta(seconds=1)
    assert figures.gauges["airlock_evaluations_open", "executing"] == 0


async def test_the_journaled_stop_is_found(evaluations: Evaluations, oversight: Oversight) -> None:
    await bring(evaluations, Status.EXECUTING)
    before = await oversight.stopped_at(A)

    await evaluations.order_stop(A, ORDER, later(20))

    assert (before, await oversight.stopped_at(A)) == (None, later(20))
