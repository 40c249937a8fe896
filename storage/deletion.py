"""What is deleted with a payload, and what stays: status, cause, findings, digests, times, and no word of the script.

A finding keeps its rule, its line and our sentence about it; the piece of the script that it showed goes.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, or_, select

from domain.evaluation import Cause
from domain.findings import Finding
from domain.journal import EntryKind
from domain.lifecycle import is_terminal
from storage.entries import CONTENT, payload_text
from storage.records import RecordSummary, StoredReport
from storage.rows import EvaluationRow, found, locked
from storage.tables import blobs, evaluations, journal
from storage.transitions import change

_GOES = CONTENT | {EntryKind.FINDING}
"""Entries that hold words of the script alone, or repeat what the row says without them."""


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
    _delete_words_from_journal(connection, row)
    values = {
        "deleted_at": at,
        "config": row.config.model_copy(update={"params": {}}),
        "findings": _wordless(row.findings),
        "cause": _told(row),
        "report": _evidence_of(row.report) if row.report else None,
    }
    change(connection, row, values, at)
    for digest in {row.script_sha256, row.result_sha256} - {None}:
        _delete_unless_needed(connection, row, digest)
    return True


def _told(row: EvaluationRow) -> Cause | None:
    """The cause in our words alone: how a script ended by itself, it says itself."""
    cause: Cause | None = row.cause
    if cause is None:
        return None
    message = f"the script ended as {row.outcome}" if row.outcome is not None else cause.message
    return cause.model_copy(update={"message": message, "evidence": ""})


def _wordless(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(finding.model_copy(update={"evidence": "", "snippet": ""}) for finding in findings)


def _evidence_of(report: StoredReport) -> StoredReport:
    record: RecordSummary = report.record.model_copy(update={"attempts": ()})
    findings = _wordless(report.findings)
    words = {"message": "", "traceback": "", "result": None, "record": record, "findings": findings}
    return report.model_copy(update=words)


def _delete_words_from_journal(connection: Connection, row: EvaluationRow) -> None:
    entries = journal.c.evaluation_id == row.evaluation_id
    connection.execute(delete(journal).where(entries, journal.c.kind.in_(sorted(_GOES))))
    statuses = connection.execute(select(journal).where(entries, journal.c.kind == EntryKind.STATUS))
    for entry in statuses.mappings().all():
        payload = json.loads(entry["payload"])
        if "cause" in payload:
            told = _told(row)
            _replace(connection, entry, payload | {"cause": told.model_dump(mode="json") if told else None})


def _replace(connection: Connection, entry: RowMapping, payload: dict[str, Any]) -> None:
    """The same entry with another payload. Nobody may change an entry, so that it goes and comes."""
    here = (journal.c.evaluation_id == entry["evaluation_id"], journal.c.seq == entry["seq"])
    connection.execute(delete(journal).where(*here))
    connection.execute(insert(journal).values({**entry, "payload": payload_text(payload)}))


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
