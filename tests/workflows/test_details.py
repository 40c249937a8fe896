"""The Web UI alone tells what, where and why; nothing that a script wrote gets a meaning there."""

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client

from domain.evaluation import Cause, Evaluation, StatusReport, StopOrder
from domain.findings import Finding, Review, Severity, StageReport
from domain.lifecycle import Stage, Status
from tests.builders import an_evaluation
from tests.workflows.stand_ins import StandIns, at_work
from tests.workflows.waiting import end_of, handle_of, reaches
from workflows.details import MAX_FINDINGS, details, plain, summary

EVALUATION = an_evaluation()
HOSTILE = "<img src=x onerror=alert(1)> | [click](javascript:x) `code` **bold** \n# heading \x1b[31m https://x.example"


def a_status(status: Status, **known: object) -> StatusReport:
    return StatusReport.model_validate({"evaluation_id": EVALUATION.evaluation_id, "status": status, **known})


def test_words_of_a_script_stay_words() -> None:
    finding = Finding(rule="AIR001", severity=Severity.HIGH, message=HOSTILE, evidence=HOSTILE)
    report = StageReport(stage=Stage.STATIC_ANALYSIS, findings=(finding,), note=HOSTILE)
    stop = StopOrder(reason=HOSTILE, by=HOSTILE[:150])
    cause = Cause(stage=Stage.STATIC_ANALYSIS, code="`x` | <b>", message=HOSTILE, evidence=HOSTILE)
    shown = a_status(Status.ERROR, review=Review(reports=(report,)), stop=stop, cause=cause)

    text = details(EVALUATION, shown)

    for live in ("<img", "](javascript", "**bold**", "\n# heading", "\x1b", "https://", "<b>"):
        assert live not in text


def test_plain_text_is_one_bounded_line() -> None:
    assert plain("a\nb" + "c" * 1000, 20).count("\n") == 0
    assert len(plain("c" * 1000, 20)) <= 40


@pytest.mark.parametrize("line", ["gpt-4 in default, 300 s", "open /etc/shadow", 'it\'s 5 % of "x"; a = b?'])
def test_what_means_nothing_in_markdown_is_shown_as_it_is(line: str) -> None:
    assert plain(line).replace("\\-", "-") == line


def test_each_stage_says_how_far_it_is() -> None:
    done = StageReport(stage=Stage.QUICK_CHECKS)
    review = Review(reports=(done,))

    during = details(EVALUATION, a_status(Status.PENDING_VALIDATION, stage=Stage.STATIC_ANALYSIS, review=review))
    afterwards = details(EVALUATION, a_status(Status.VALIDATION_FAILED, stage=Stage.STATIC_ANALYSIS, review=review))

    assert "- quick_checks: approved, 0 findings\n- static_analysis: under way\n- sandbox_trial: not yet" in during
    assert "- sandbox_trial: never begun\n- pod_execution: never begun" in afterwards


def test_many_findings_are_counted() -> None:
    finding = Finding(rule="AIR001", severity=Severity.LOW, message="m")
    report = StageReport(stage=Stage.STATIC_ANALYSIS, findings=(finding,) * 50)

    text = details(EVALUATION, a_status(Status.PENDING_VALIDATION, review=Review(reports=(report,))))

    assert text.count("AIR001") == MAX_FINDINGS
    assert "30 more" in text


def test_a_question_shows_how_to_answer_it() -> None:
    shown = a_status(Status.AWAITING_APPROVAL, stage=Stage.SANDBOX_TRIAL, findings_digest="f" * 64)

    text = details(EVALUATION, shown)

    assert f"temporal workflow signal -w {EVALUATION.evaluation_id} --name approve" in text
    assert "f" * 64 in text
    assert "72 hours" in text


@pytest.mark.parametrize("status", Status)
def test_every_status_is_told(status: Status) -> None:
    assert details(EVALUATION, a_status(status)).startswith(f"**{status}**")


def test_a_summary_is_short() -> None:
    long = EVALUATION.model_copy(update={"model_id": "-" * 500})

    assert len(summary(long).encode()) <= 200


@pytest.mark.temporal
async def test_the_server_shows_them_while_it_runs_and_afterwards(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(endless={"pod_execution"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        during = await shown(client, evaluation)
        await workflows.stop(evaluation.evaluation_id, StopOrder(reason="enough"))
        await end_of(client, evaluation)
        afterwards = await shown(client, evaluation)

    assert "**executing** in pod_execution" in during
    assert "- sandbox_trial: approved, 0 findings" in during
    assert "**stopped**" in afterwards
    assert "enough" in afterwards


async def shown(client: Client, evaluation: Evaluation) -> str:
    """The current details, as the Web UI asks for them."""
    told = await handle_of(client, evaluation).query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return told.current_details
