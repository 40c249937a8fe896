"""Evaluations in a given status, and what they are made of."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import JsonValue

from domain.evaluation import Cause, EvaluationEnd, StopOrder
from domain.findings import Finding, Severity
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage, Status
from domain.outcomes import RunOutcome
from domain.runs import Attempt, Backend, Isolation, ModelUse, RunRecord, RunReport
from storage.evaluations import Evaluations, NewEvaluation, StatusChange, StopAnswer
from tests.builders import QUEUED_AT, SCRIPT, an_evaluation

A = an_evaluation("a").evaluation_id
"""The evaluation that most tests are about."""
RUN = f"{A}-execution"
ORDER = StopOrder(reason="too dear", by="key key_a")
FINDING = Finding(rule="reads_environment", severity=Severity.MEDIUM, message="Reads os.environ.", line=3)
ORIGIN = Cause(stage=Stage.POD_EXECUTION, code="worker_lost", message="gone", retryable=True)
USE = ModelUse(provider="mock", calls=2, transcript_sha256="f" * 64)

_REACHED = {
    Status.PENDING_VALIDATION: (Status.PENDING_VALIDATION,),
    Status.AWAITING_APPROVAL: (Status.PENDING_VALIDATION, Status.AWAITING_APPROVAL),
    Status.VALIDATED: (Status.PENDING_VALIDATION, Status.VALIDATED),
    Status.EXECUTING: (Status.PENDING_VALIDATION, Status.VALIDATED, Status.EXECUTING),
}


def later(seconds: float) -> datetime:
    return QUEUED_AT + timedelta(seconds=seconds)


def new(
    name: str = "a",
    *,
    script: bytes = SCRIPT,
    tenant: str = "tenant-a",
    queued_after: float = 0,
    retry_of: str | None = None,
) -> NewEvaluation:
    evaluation = an_evaluation(name, script=script, tenant=tenant).model_copy(update={"queued_at": later(queued_after)})
    return NewEvaluation(evaluation=evaluation, script=script, retry_of=retry_of)


def to(status: Status, name: str = "a", seconds: float = 1, **fields: object) -> StatusChange:
    values = {"evaluation_id": an_evaluation(name).evaluation_id, "status": status, "at": later(seconds), **fields}
    return StatusChange.model_validate(values)


def end(
    status: Status, name: str = "a", cause: Cause | None = None, outcome: RunOutcome | None = None
) -> EvaluationEnd:
    evaluation_id = an_evaluation(name).evaluation_id
    return EvaluationEnd(evaluation_id=evaluation_id, status=status, cause=cause, outcome=outcome)


def a_report(
    result: JsonValue = None, *, outcome: RunOutcome = RunOutcome.COMPLETED, has_result: bool = True
) -> RunReport:
    attempts = (
        Attempt(kind="open", target="/etc/hostname", allowed=True),
        Attempt(kind="connect", allowed=False, count=3),
    )
    return RunReport(
        run_id=RUN,
        outcome=outcome,
        exit_code=0,
        message="the script's words",
        traceback="the script's trace",
        has_result=has_result,
        result=result,
        isolation=Isolation(backend=Backend.BUBBLEWRAP, level=2),
        record=RunRecord(attempts=attempts, complete=True),
        environment_digest="e" * 64,
    )


def a_line(frame: int | None, text: str = "words", *, run: str = RUN, kind: EntryKind = EntryKind.LOG) -> NewEntry:
    payload: dict[str, JsonValue] = {"stream": "stdout", "text": text}
    return NewEntry(at=later(9), kind=kind, run=run, frame=frame, stage=Stage.POD_EXECUTION, payload=payload)


async def bring(evaluations: Evaluations, status: Status, name: str = "a", queued_after: float = 0) -> str:
    """An evaluation that has arrived in `status`, whichever."""
    evaluation_id = an_evaluation(name).evaluation_id
    await evaluations.submit(new(name, queued_after=queued_after), None)
    steps = _REACHED.get(status, ())
    if status in {Status.COMPLETED, Status.FAILED, Status.TIMED_OUT}:
        steps = _REACHED[Status.EXECUTING]
    if status is Status.VALIDATION_FAILED:
        steps = _REACHED[Status.PENDING_VALIDATION]
    for step in steps:
        assert await evaluations.advance(to(step, name))
    if status in {Status.STOPPING, Status.STOPPED}:
        assert await evaluations.order_stop(evaluation_id, ORDER, later(2)) is StopAnswer.ACCEPTED
    if status not in {Status.QUEUED, Status.STOPPING, *_REACHED}:
        record = await evaluations.conclude(
            end(status, name, ORIGIN if status is not Status.COMPLETED else None), later(3)
        )
        assert record.status is status
    return evaluation_id
