"""What is deleted with a payload, and what stays: status, cause, findings, digests, sizes, times."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, or_, select

from domain.lifecycle import is_terminal
from storage.entries import CONTENT
from storage.records import StoredReport
from storage.rows import EvaluationRow, found, locked
from storage.tables import blobs, evaluations, journal
from storage.transitions import change


def delete_payload(connection: Connection, tenant: str, evaluation_id: str, at: datetime) -> bool:
    """Delete what the submitter and the script have written. False where there is no such ended evaluation."""
    owned = (evaluations.c.evaluation_id == evaluation_id, evaluations.c.tenant == tenant)
    if found(connection, *owned) is None:
        return False
    row = locked(connection, evaluation_id)
    if not is_terminal(row.status):
        return False
    if row.deleted_at is not None:
        return True
    connection.execute(
        delete(journal).where(journal.c.evaluation_id == evaluation_id, journal.c.kind.in_(sorted(CONTENT)))
    )
    report: StoredReport | None = row.report
    values = {
        "deleted_at": at,
        "config": row.config.model_copy(update={"params": {}}),
        "report": report.model_copy(update={"message": "", "traceback": "", "result": None}) if report else None,
    }
    change(connection, row, values, at)
    for digest in {row.script_sha256, row.result_sha256} - {None}:
        _delete_unless_needed(connection, row, digest)
    return True


def _delete_unless_needed(connection: Connection, row: EvaluationRow, sha256: str) -> None:
    """The lock comes before the look: a submission that is about to refer to the blob holds it."""
    blob = (blobs.c.tenant == row.tenant, blobs.c.sha256 == sha256)
    connection.execute(select(blobs.c.size).where(*blob).with_for_update())
    needed = select(evaluations.c.evaluation_id).where(
        evaluations.c.tenant == row.tenant,
        evaluations.c.deleted_at.is_(None),
        or_(evaluations.c.script_sha256 == sha256, evaluations.c.result_sha256 == sha256),
    )
    if (connection.execute(needed.limit(1))).one_or_none() is None:
        connection.execute(delete(blobs).where(*blob))
