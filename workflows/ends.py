"""How an evaluation ends, as a value: refused by its review, by the script's own fate, stopped, or failed by us."""

from __future__ import annotations

from domain.evaluation import Cause, Evaluation, EvaluationEnd, StopOrder
from domain.findings import Review, Verdict
from domain.lifecycle import Stage, Status
from domain.outcomes import RunOutcome, status_after
from domain.runs import ExecutionReport
from workflows import causes


def refused(evaluation: Evaluation, review: Review, stage: Stage | None, why: str = "") -> EvaluationEnd:
    """The review ended without an approval. `why` is empty where its findings say it."""
    cause = causes.refusal(review, evaluation.policy, stage, why)
    return _end(evaluation, Status.VALIDATION_FAILED, cause, verdict=Verdict.REJECTED)


def executed(evaluation: Evaluation, report: ExecutionReport, stop: StopOrder | None) -> EvaluationEnd:
    """The script's own fate, unless a stop came first, or it did what no approval covers."""
    policy = evaluation.policy
    rejecting = tuple(each for each in report.findings if policy.verdict_on(each) is Verdict.REJECTED)
    misbehaved = causes.heaviest(rejecting)
    if report.outcome is RunOutcome.STOPPED and (stop is not None or misbehaved is None):
        return stopped(evaluation, stop, Stage.POD_EXECUTION, report)
    if misbehaved is not None:
        return _end(evaluation, Status.FAILED, causes.misbehaviour(misbehaved), report)
    return _end(evaluation, status_after(report.outcome), causes.fate(report), report)


def stopped(
    evaluation: Evaluation, stop: StopOrder | None, stage: Stage | None, report: ExecutionReport | None = None
) -> EvaluationEnd:
    """A stop was carried out, and everything is dead. `stop` is None where only the records know the order."""
    return _end(evaluation, Status.STOPPED, causes.stopped(stop or StopOrder(), stage), report)


def failed(evaluation: Evaluation, cause: Cause) -> EvaluationEnd:
    """The platform could not finish it."""
    return _end(evaluation, Status.ERROR, cause)


def _end(
    evaluation: Evaluation,
    status: Status,
    cause: Cause | None,
    report: ExecutionReport | None = None,
    verdict: Verdict | None = None,
) -> EvaluationEnd:
    return EvaluationEnd(
        evaluation_id=evaluation.evaluation_id,
        status=status,
        cause=cause,
        outcome=report.outcome if report else None,
        verdict=verdict,
        result_digest=report.result_digest if report else None,
    )
