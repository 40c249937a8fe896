"""What the platform fails at is an error with a cause; the record of an end is waited for."""

import pytest
from temporalio.client import Client

from domain.errors import EnvironmentUnavailable, PlatformError, ScriptMissing, WorkerLost
from domain.evaluation import Evaluation
from domain.lifecycle import Stage, Status
from tests.workflows.stand_ins import StandIns, at_work
from tests.workflows.waiting import end_of, eventually, reaches

pytestmark = pytest.mark.temporal


@pytest.mark.parametrize(
    ("stage", "failure", "retryable"),
    [
        (Stage.QUICK_CHECKS, ScriptMissing("it is gone"), False),
        (Stage.STATIC_ANALYSIS, PlatformError("a defect"), True),
        (Stage.SANDBOX_TRIAL, EnvironmentUnavailable("not here", "science"), False),
        (Stage.POD_EXECUTION, WorkerLost("begun, and lost"), True),
    ],
)
async def test_a_failure_of_ours_is_an_error_that_names_stage_and_code(
    client: Client, evaluation: Evaluation, stage: Stage, failure: PlatformError, *, retryable: bool
) -> None:
    stand_ins = StandIns(fails={stage.value: failure})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        end = await end_of(client, evaluation)

    assert end.cause is not None
    assert (end.status, end.outcome) == (Status.ERROR, None)
    assert (end.cause.stage, end.cause.code, end.cause.message) == (stage, failure.code, failure.message)
    assert (end.cause.evidence, end.cause.retryable) == (failure.evidence, retryable)
    assert stand_ins.ends[0].end == end


async def test_a_failure_that_passes_is_not_seen(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(away={"static_analysis"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)

        async def tried() -> bool:
            return Stage.STATIC_ANALYSIS in stand_ins.stages

        await eventually(tried)
        stand_ins.away.clear()
        end = await end_of(client, evaluation)

    assert end.status is Status.COMPLETED
    assert stand_ins.stages.count(Stage.STATIC_ANALYSIS) > 1


async def test_an_end_waits_until_it_can_be_written_down(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(away={"conclude"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.COMPLETED)
        still_open = await workflows.is_open(evaluation.evaluation_id)
        unwritten = not stand_ins.ends
        stand_ins.away.clear()
        end = await end_of(client, evaluation)

    assert (still_open, unwritten) == (True, True)
    assert stand_ins.ends[0].end == end


async def test_a_status_that_cannot_be_written_down_yet_holds_the_execution_up(
    client: Client, evaluation: Evaluation
) -> None:
    stand_ins = StandIns(away={"record_status"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.VALIDATED)
        held = not stand_ins.executions
        stand_ins.away.clear()
        end = await end_of(client, evaluation)

    assert held
    assert end.status is Status.COMPLETED
