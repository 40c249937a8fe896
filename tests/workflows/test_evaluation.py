"""The story of an evaluation: what leads where."""

import pytest
from temporalio.client import Client

from domain.evaluation import Evaluation
from domain.findings import Severity, Verdict
from domain.lifecycle import REVIEW_STAGES, Stage, Status
from domain.outcomes import RunOutcome
from domain.runs import ExecutionReport
from tests.workflows.stand_ins import (
    DONE,
    ENVIRONMENT_DIGEST,
    StandIns,
    a_finding,
    a_report,
    at_work,
    statuses_of,
)
from tests.workflows.waiting import end_of, handle_of
from workflows import search_attributes

pytestmark = pytest.mark.temporal

MAX_EVENTS = 80


async def test_what_passes_every_stage_is_executed_and_completes(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns()

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        end = await end_of(client, evaluation)

    assert (end.status, end.cause, end.outcome) == (Status.COMPLETED, None, DONE.outcome)
    assert (end.verdict, end.result_digest) == (Verdict.APPROVED, DONE.result_digest)
    assert stand_ins.stages == list(REVIEW_STAGES)
    assert stand_ins.executions[0].environment_digest == ENVIRONMENT_DIGEST
    assert statuses_of(stand_ins) == [Status.VALIDATED, Status.COMPLETED]


async def test_a_happy_history_is_short(client: Client, evaluation: Evaluation) -> None:
    async with at_work(client, StandIns()) as workflows:
        await workflows.start(evaluation)
        await end_of(client, evaluation)

    history = await handle_of(client, evaluation).fetch_history()
    assert len(history.events) <= MAX_EVENTS


@pytest.mark.parametrize("stage", REVIEW_STAGES)
async def test_a_rejection_by_any_stage_ends_it_there(client: Client, evaluation: Evaluation, stage: Stage) -> None:
    stand_ins = StandIns(reports={stage: [a_report(stage, a_finding(Severity.HIGH, "it opens a socket"))]})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        end = await end_of(client, evaluation)

    code = "failed_sandbox_test" if stage is Stage.SANDBOX_TRIAL else "unsafe_operations"
    assert end.cause is not None
    assert (end.status, end.verdict) == (Status.VALIDATION_FAILED, Verdict.REJECTED)
    assert (end.cause.stage, end.cause.code, end.cause.message) == (stage, code, "it opens a socket")
    assert "line 3" in end.cause.evidence
    assert stand_ins.stages[-1] is stage
    assert not stand_ins.executions
    assert stand_ins.ends[0].findings


async def test_an_inconclusive_trial_is_performed_once_more(client: Client, evaluation: Evaluation) -> None:
    trial = Stage.SANDBOX_TRIAL
    stand_ins = StandIns(reports={trial: [a_report(trial, complete=False), a_report(trial)]})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        end = await end_of(client, evaluation)

    assert end.status is Status.COMPLETED
    assert [task.attempt for task in stand_ins.tasks] == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(RunOutcome.TIMED_OUT, Status.TIMED_OUT), (RunOutcome.MEMORY_LIMIT, Status.FAILED)],
)
async def test_the_fate_of_the_script_is_the_end(
    client: Client, evaluation: Evaluation, outcome: RunOutcome, status: Status
) -> None:
    stand_ins = StandIns(execution=ExecutionReport(outcome=outcome, message="the limit's words"))

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        end = await end_of(client, evaluation)

    assert end.cause is not None
    assert (end.status, end.outcome) == (status, outcome)
    assert (end.cause.stage, end.cause.code, end.cause.message) == (Stage.POD_EXECUTION, outcome, "the limit's words")


async def test_what_only_the_execution_showed_is_recorded_behind_the_review(
    client: Client, evaluation: Evaluation
) -> None:
    stage, noticed, shown = Stage.STATIC_ANALYSIS, a_finding(Severity.LOW, "early"), a_finding(Severity.HIGH, "late")
    execution = ExecutionReport(outcome=RunOutcome.STOPPED, findings=(noticed, shown))
    stand_ins = StandIns(reports={stage: [a_report(stage, noticed)]}, execution=execution)

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        end = await end_of(client, evaluation)

    assert end.cause is not None
    assert (end.status, end.cause.code, end.cause.message) == (Status.FAILED, "suspicious_patterns", "late")
    assert stand_ins.ends[0].findings == (noticed, shown)


async def test_search_attributes_tell_where_it_is_and_whose(client: Client, evaluation: Evaluation) -> None:
    async with at_work(client, StandIns()) as workflows:
        await workflows.start(evaluation)
        await end_of(client, evaluation)

    found = (await handle_of(client, evaluation).describe()).typed_search_attributes
    told = {key.name: found.get(key) for key in search_attributes.KEYS}
    assert told == {
        "AirlockStatus": "completed",
        "AirlockStage": "pod_execution",
        "AirlockTenant": evaluation.tenant,
        "AirlockModel": evaluation.model_id,
        "AirlockVerdict": "approved",
        "AirlockQueuedAt": evaluation.queued_at,
    }


async def test_a_closed_workflow_still_answers(client: Client, evaluation: Evaluation) -> None:
    async with at_work(client, StandIns()) as workflows:
        await workflows.start(evaluation)
        await end_of(client, evaluation)
        report = await workflows.status(evaluation.evaluation_id)

    assert report is not None
    assert (report.status, len(report.review.reports)) == (Status.COMPLETED, len(REVIEW_STAGES))
