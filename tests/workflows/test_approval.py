"""Suspicion is carried to one question; only an explicit approval of these findings opens the door."""

from typing import Any

import pytest
from temporalio.client import Client

from domain.evaluation import Evaluation
from domain.findings import Severity, Verdict
from domain.lifecycle import REVIEW_STAGES, Stage, Status
from domain.policy import Policy
from tests.workflows.stand_ins import StandIns, a_finding, a_report, at_work, statuses_of
from tests.workflows.waiting import end_of, handle_of, reaches

pytestmark = pytest.mark.temporal


def suspicious() -> StandIns:
    stage = Stage.STATIC_ANALYSIS
    return StandIns(reports={stage: [a_report(stage, a_finding(Severity.MEDIUM))]})


async def test_a_person_is_asked_after_the_trial_and_may_approve(client: Client, evaluation: Evaluation) -> None:
    stand_ins = suspicious()

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.AWAITING_APPROVAL)
        asked = await workflows.status(evaluation.evaluation_id)
        assert asked is not None
        await workflows.approve(evaluation.evaluation_id, by="ada", findings_digest=asked.findings_digest)
        end = await end_of(client, evaluation)

    assert asked.verdict is Verdict.SUSPICIOUS
    assert stand_ins.stages == list(REVIEW_STAGES)
    assert statuses_of(stand_ins) == [Status.AWAITING_APPROVAL, Status.VALIDATED, Status.COMPLETED]
    assert stand_ins.statuses[0].findings_digest == asked.findings_digest
    assert end.verdict is Verdict.APPROVED


async def test_a_person_may_reject_and_say_why(client: Client, evaluation: Evaluation) -> None:
    stand_ins = suspicious()

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.AWAITING_APPROVAL)
        await workflows.reject(evaluation.evaluation_id, by="ada", reason="I do not like it")
        end = await end_of(client, evaluation)

    assert end.cause is not None
    assert (end.status, end.cause.code) == (Status.VALIDATION_FAILED, "suspicious_patterns")
    assert end.cause.message == "rejected by ada: I do not like it"
    assert not stand_ins.executions


@pytest.mark.parametrize(
    "request_", [{"findings_digest": "0" * 64}, {"findings_digest": 7}, {"findings_digest": ""}, [1], 7, True]
)
async def test_an_approval_of_something_else_is_refused(client: Client, evaluation: Evaluation, request_: Any) -> None:
    stand_ins = suspicious()

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.AWAITING_APPROVAL)
        await handle_of(client, evaluation).signal("approve", request_)
        report = await workflows.status(evaluation.evaluation_id)
        await workflows.reject(evaluation.evaluation_id, by="ada", reason="")
        await end_of(client, evaluation)

    assert report is not None
    assert (report.status, report.review.approved_by) == (Status.AWAITING_APPROVAL, None)
    assert not stand_ins.executions


async def test_an_approval_before_the_question_is_none(client: Client, evaluation: Evaluation) -> None:
    stand_ins = suspicious()
    stand_ins.endless = {"sandbox_trial"}

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await stand_ins.reached.wait()
        await workflows.approve(evaluation.evaluation_id, by="ada", findings_digest=None)
        report = await workflows.status(evaluation.evaluation_id)

    assert report is not None
    assert report.review.approved_by is None


async def test_where_nobody_may_be_asked_suspicious_is_rejected(client: Client, evaluation: Evaluation) -> None:
    stand_ins = suspicious()
    closed = evaluation.model_copy(update={"policy": Policy(approval=False)})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(closed)
        end = await end_of(client, evaluation)

    assert (end.status, end.verdict) == (Status.VALIDATION_FAILED, Verdict.REJECTED)
    assert not stand_ins.executions


async def test_a_trial_that_stays_inconclusive_is_suspicious(client: Client, evaluation: Evaluation) -> None:
    trial = Stage.SANDBOX_TRIAL
    stand_ins = StandIns(reports={trial: [a_report(trial, complete=False)]})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.AWAITING_APPROVAL)
        report = await workflows.status(evaluation.evaluation_id)

    assert report is not None
    assert report.verdict is Verdict.SUSPICIOUS
    assert [task.attempt for task in stand_ins.tasks] == [1, 1, 1, 2]
