"""The one execution of an evaluation: begun once, and ended by whichever is journaled first, its receipt or a stop."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, insert, select

from domain.evaluation import StopOrder
from domain.findings import Finding, Verdict
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage, Status, is_terminal
from domain.limits import INLINE_RESULT_BYTES
from domain.outcomes import RunOutcome
from domain.policy import Policy
from domain.results import canonical_json
from domain.runs import ModelUse, RunRecord, RunReport
from storage.blobs import keep
from storage.entries import status_entry, write
from storage.records import RecordSummary, StopAnswer, StoredReport
from storage.rows import EvaluationRow, locked
from storage.tables import evaluations, executions
from storage.transitions import change, walk, way

KEPT_ATTEMPTS = 50
"""Of a run's record, in the row. The counts are of all of them."""


def order_stop(connection: Connection, evaluation_id: str, order: StopOrder, at: datetime) -> StopAnswer:
    """Journal a stop, unless there is one, or it comes too late.

    A stop by a signal may have been carried out before it is journaled: then its receipt is the first to tell of it.
    """
    row = locked(connection, evaluation_id)
    if is_terminal(row.status) or (row.receipt_at is not None and not _was_stopped(row)):
        return StopAnswer.ALREADY_ENDED
    if row.stop is not None:
        return StopAnswer.ALREADY_ORDERED
    stop = NewEntry(at=at, kind=EntryKind.STOP, stage=row.stage, payload=order.model_dump(mode="json"))
    steps = way(row.status, Status.STOPPING)
    if steps:
        last = status_entry(Status.STOPPING, at, row.stage, row.verdict)
        walk(connection, row, steps, last, {"stop": order}, before=[stop])
    else:
        write(connection, row, [stop])
        change(connection, row, {"stop": order}, at)
    return StopAnswer.ACCEPTED


def _was_stopped(row: EvaluationRow) -> bool:
    """Whether a run was ended by somebody's order, and not for what it did."""
    report: StoredReport = row.report
    policy: Policy = row.policy
    misbehaved = any(policy.verdict_on(each) is Verdict.REJECTED for each in report.findings)
    return report.outcome is RunOutcome.STOPPED and not misbehaved


def stop_ordered(connection: Connection, evaluation_id: str) -> StopOrder | None:
    """The stop that was journaled."""
    query = select(evaluations.c.stop).where(evaluations.c.evaluation_id == evaluation_id)
    return (connection.execute(query)).scalar_one_or_none()


def begin(connection: Connection, evaluation_id: str, run_id: str, worker: str, at: datetime) -> bool:
    """Say that the script is about to be delivered. False where that was said before, or must not be any more.

    `worker` and `at` name a beginning: one that is said again, because its answer was lost, is answered as before.
    """
    row = locked(connection, evaluation_id)
    if is_terminal(row.status) or row.status is Status.STOPPING or row.stop is not None:
        return False
    query = select(executions.c.worker, executions.c.begun_at).where(executions.c.evaluation_id == evaluation_id)
    earlier = connection.execute(query).one_or_none()
    if earlier is not None:
        return (earlier.worker, earlier.begun_at) == (worker, at)
    begun = {"evaluation_id": evaluation_id, "tenant": row.tenant, "run_id": run_id, "worker": worker, "begun_at": at}
    connection.execute(insert(executions).values(begun))
    steps = way(row.status, Status.EXECUTING)
    if steps:
        stage = Stage.POD_EXECUTION
        last = status_entry(Status.EXECUTING, at, stage, row.verdict)
        walk(connection, row, steps, last, {"stage": stage})
    return True


def record_receipt(
    connection: Connection,
    evaluation_id: str,
    report: RunReport,
    findings: tuple[Finding, ...],
    model_use: ModelUse,
    at: datetime,
) -> bool:
    """Keep what came of the execution. False where a stop was journaled first: then it is kept as evidence alone."""
    row = locked(connection, evaluation_id)
    if row.receipt_at is not None:
        return True
    if is_terminal(row.status) or row.report is not None:
        return False
    counts = row.stop is None and row.status is not Status.STOPPING
    stored = _stored(report, findings, model_use, after_stop=not counts)
    values: dict[str, Any] = {}
    if counts:
        values["receipt_at"] = at
        stored, values["result_sha256"] = _with_result(connection, row, stored, report)
    write(connection, row, [_receipt(stored, at)])
    change(connection, row, {**values, "report": stored}, at)
    return counts


def _with_result(
    connection: Connection, row: EvaluationRow, stored: StoredReport, report: RunReport
) -> tuple[StoredReport, str | None]:
    if not report.has_result:
        return stored, None
    content = canonical_json(report.result)
    # Half a surrogate pair survives in a blob alone, so whatever may hold one goes there
    large = len(content) > INLINE_RESULT_BYTES or b"\\ud" in content
    digest = hashlib.sha256(content).hexdigest()
    if large:
        keep(connection, row.tenant, content)
    found = {
        "has_result": True,
        "result_digest": digest,
        "result_size": len(content),
        "result_in_blob": large,
        "result": None if large else report.result,
    }
    return stored.model_copy(update=found), digest if large else None


def _stored(report: RunReport, findings: tuple[Finding, ...], use: ModelUse, *, after_stop: bool) -> StoredReport:
    return StoredReport(
        run_id=report.run_id,
        outcome=report.outcome,
        exit_code=report.exit_code,
        signal=report.signal,
        message=report.message,
        traceback=report.traceback,
        isolation=report.isolation,
        usage=report.usage,
        model_use=use,
        environment_digest=report.environment_digest,
        record=_summary(report.record),
        findings=findings,
        receipt=report.receipt,
        after_stop=after_stop,
    )


def _summary(record: RunRecord) -> RecordSummary:
    kinds = Counter[str]()
    for attempt in record.attempts:
        kinds[attempt.kind] += attempt.count
    return RecordSummary(
        attempts=tuple(sorted(record.attempts, key=lambda attempt: attempt.allowed)[:KEPT_ATTEMPTS]),
        kinds=dict(kinds),
        refused=sum(attempt.count for attempt in record.attempts if not attempt.allowed),
        allowed_reads=record.allowed_reads,
        dropped=record.dropped,
        complete=record.complete,
    )


def _receipt(stored: StoredReport, at: datetime) -> NewEntry:
    """Nothing in it was written by the script: it outlives a deletion."""
    payload: dict[str, JsonValue] = {
        "outcome": stored.outcome.value,
        "exit_code": stored.exit_code,
        "signal": stored.signal,
        "has_result": stored.has_result,
        "result_digest": stored.result_digest,
        "result_size": stored.result_size,
        "isolation_level": stored.isolation.level,
        "backend": stored.isolation.backend.value,
        "environment_digest": stored.environment_digest,
        "usage": stored.usage.model_dump(mode="json"),
        "model_use": stored.model_use.model_dump(mode="json"),
        "receipt": stored.receipt,
        "after_stop": stored.after_stop,
    }
    return NewEntry(at=at, kind=EntryKind.RECEIPT, run=stored.run_id, stage=Stage.POD_EXECUTION, payload=payload)
