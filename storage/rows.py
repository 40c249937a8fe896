"""Rows of evaluations: locked for a change, and made into records."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from domain.errors import RecordMissing
from domain.evaluation import ScriptRef
from storage.records import EvaluationRecord, StoredReport
from storage.tables import evaluations

EvaluationRow = Row[Any]
_PLACE = [
    evaluations.c[name]
    for name in ("evaluation_id", "tenant", "last_seq", "journal_bytes", "journal_full", "deleted_at")
]


def found(connection: Connection, *conditions: ColumnElement[bool]) -> EvaluationRow | None:
    """The one row that meets the conditions."""
    return (connection.execute(select(evaluations).where(*conditions))).one_or_none()


def locked(connection: Connection, evaluation_id: str) -> EvaluationRow:
    """The row, which nobody else can change until the transaction ends. Raises RecordMissing."""
    query = select(evaluations).where(evaluations.c.evaluation_id == evaluation_id).with_for_update()
    row = (connection.execute(query)).one_or_none()
    if row is None:
        raise RecordMissing("there is no record of this evaluation", evaluation_id)
    return row


def place_of(connection: Connection, evaluation_id: str) -> EvaluationRow:
    """What of the row an append to its journal needs, locked as well. Raises RecordMissing."""
    query = select(*_PLACE).where(evaluations.c.evaluation_id == evaluation_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise RecordMissing("there is no record of this evaluation", evaluation_id)
    return row


def record_of(row: EvaluationRow) -> EvaluationRecord:
    """The row as a value."""
    report: StoredReport | None = row.report
    return EvaluationRecord(
        evaluation_id=row.evaluation_id,
        tenant=row.tenant,
        status=row.status,
        stage=row.stage,
        model_id=row.model_id,
        script=ScriptRef(sha256=row.script_sha256, size=row.script_size),
        config=row.config,
        policy=row.policy,
        queued_at=row.queued_at,
        updated_at=row.updated_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        verdict=row.verdict,
        findings=row.findings + tuple(found for found in report.findings if found not in row.findings)
        if report
        else row.findings,
        findings_digest=row.findings_digest,
        cause=row.cause,
        outcome=row.outcome,
        report=report,
        retry_of=row.retry_of,
        stop=row.stop,
        deleted_at=row.deleted_at,
        last_seq=row.last_seq,
    )
