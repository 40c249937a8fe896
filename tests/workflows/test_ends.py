"""Each way to end has its status and its cause; a receipt and a stop don't contradict each other."""

import pytest
from temporalio.exceptions import ApplicationError

from domain.evaluation import StopOrder
from domain.findings import Severity
from domain.lifecycle import Stage, Status
from domain.outcomes import RunOutcome, status_after
from domain.runs import ExecutionReport
from tests.builders import an_evaluation
from tests.workflows.stand_ins import a_finding
from workflows import causes, ends

EVALUATION = an_evaluation()
STOP = StopOrder(reason="enough")
WORST = (a_finding(Severity.LOW), a_finding(Severity.CRITICAL, "it reads secrets"))


@pytest.mark.parametrize("outcome", RunOutcome)
def test_every_outcome_has_its_end_and_all_but_one_a_cause(outcome: RunOutcome) -> None:
    end = ends.executed(EVALUATION, ExecutionReport(outcome=outcome), None)

    assert (end.status, end.outcome) == (status_after(outcome), outcome)
    assert (end.cause is None) == (outcome is RunOutcome.COMPLETED)


@pytest.mark.parametrize("outcome", [RunOutcome.STOPPED, RunOutcome.COMPLETED])
def test_what_no_approval_covers_fails_the_execution(outcome: RunOutcome) -> None:
    end = ends.executed(EVALUATION, ExecutionReport(outcome=outcome, findings=WORST), None)

    assert end.cause is not None
    assert (end.status, end.cause.code, end.cause.message) == (Status.FAILED, "suspicious_patterns", "it reads secrets")


def test_a_stop_that_came_first_is_the_end_whatever_it_did() -> None:
    end = ends.executed(EVALUATION, ExecutionReport(outcome=RunOutcome.STOPPED, findings=WORST), STOP)

    assert end.cause is not None
    assert (end.status, end.cause.message) == (Status.STOPPED, "enough")


def test_a_stop_that_came_second_is_not() -> None:
    end = ends.executed(EVALUATION, ExecutionReport(outcome=RunOutcome.TIMED_OUT), STOP)

    assert end.status is Status.TIMED_OUT


def test_light_findings_do_not_fail_an_execution() -> None:
    end = ends.executed(EVALUATION, ExecutionReport(outcome=RunOutcome.COMPLETED, findings=WORST[:1]), None)

    assert end.status is Status.COMPLETED


def test_a_stop_without_words_has_a_cause_too() -> None:
    end = ends.stopped(EVALUATION, None, Stage.SANDBOX_TRIAL)

    assert end.cause is not None
    assert (end.cause.code, end.cause.message) == ("stopped", "emergency stop")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("worker_lost", "worker_lost"),
        ("of_another_release", "of_another_release"),
        ("PayloadsTooLarge", "platform_error"),
        (None, "platform_error"),
    ],
)
def test_a_failure_that_the_sdk_names_is_one_of_the_platform(kind: str | None, code: str) -> None:
    cause = causes.failure(ApplicationError("what it was", type=kind), Stage.POD_EXECUTION)

    assert (cause.code, cause.message) == (code, "what it was")
