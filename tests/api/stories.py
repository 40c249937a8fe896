"""Moves evaluations on, as workers would."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import JsonValue

from api.services import Services
from domain.evaluation import Cause, EvaluationEnd
from domain.findings import Finding, Severity, Verdict
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage, Status
from domain.outcomes import RunOutcome
from domain.runs import Backend, Isolation, ModelUse, RunReport
from storage.records import StatusChange

FINDING = Finding(rule="reads_environment", severity=Severity.MEDIUM, message="Reads os.environ.", line=1)
DIGEST = "f" * 64


def now() -> datetime:
    return datetime.now(UTC)


async def advance(services: Services, evaluation_id: str, *statuses: Status) -> None:
    for status in statuses:
        change = StatusChange(evaluation_id=evaluation_id, status=status, stage=Stage.QUICK_CHECKS, at=now())
        assert await services.evaluations.advance(change)


async def ask_a_person(services: Services, evaluation_id: str) -> None:
    await advance(services, evaluation_id, Status.PENDING_VALIDATION)
    change = StatusChange(
        evaluation_id=evaluation_id,
        status=Status.AWAITING_APPROVAL,
        stage=Stage.SANDBOX_TRIAL,
        at=now(),
        verdict=Verdict.SUSPICIOUS,
        findings=(FINDING,),
        findings_digest=DIGEST,
    )
    assert await services.evaluations.advance(change)


async def execute(services: Services, evaluation_id: str) -> None:
    await advance(services, evaluation_id, Status.PENDING_VALIDATION, Status.VALIDATED)
    run_id = f"{evaluation_id}-execution"
    assert await services.evaluations.begin_execution(evaluation_id, run_id, "worker", now())


async def print_lines(services: Services, evaluation_id: str, *texts: str, first: int = 1) -> None:
    payloads: list[tuple[EntryKind, dict[str, JsonValue]]] = [
        (EntryKind.LOG, {"stream": "stdout", "text": text}) for text in texts
    ]
    await services.journal.append(evaluation_id, [entry(evaluation_id, n, *p) for n, p in enumerate(payloads, first)])


def entry(evaluation_id: str, frame: int, kind: EntryKind, payload: dict[str, JsonValue]) -> NewEntry:
    run = f"{evaluation_id}-execution"
    return NewEntry(at=now(), kind=kind, run=run, frame=frame, stage=Stage.POD_EXECUTION, payload=payload)


async def complete(services: Services, evaluation_id: str, result: JsonValue = None) -> None:
    """Executed and ended well."""
    await execute(services, evaluation_id)
    report = RunReport(
        run_id=f"{evaluation_id}-execution",
        outcome=RunOutcome.COMPLETED,
        exit_code=0,
        has_result=True,
        result=result,
        isolation=Isolation(backend=Backend.BUBBLEWRAP, level=2, checks={"no_network": True}),
        environment_digest="e" * 64,
    )
    assert await services.evaluations.record_receipt(evaluation_id, report, (), ModelUse(provider="mock"), now())
    end = EvaluationEnd(evaluation_id=evaluation_id, status=Status.COMPLETED, outcome=RunOutcome.COMPLETED)
    await services.evaluations.conclude(end, now())


async def conclude_stop(services: Services, evaluation_id: str) -> None:
    cause = Cause(stage=None, code="stopped", message="emergency stop")
    end = EvaluationEnd(evaluation_id=evaluation_id, status=Status.STOPPED, cause=cause)
    await services.evaluations.conclude(end, now())
