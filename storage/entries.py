"""How journal entries are written: within the transaction of whatever they tell of, by who holds the row's lock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, insert, select, update

from domain.evaluation import Cause, Evaluation
from domain.findings import Verdict
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage, Status
from domain.limits import MAX_JOURNAL_BYTES
from storage.rows import EvaluationRow
from storage.tables import evaluations, journal

CONTENT = frozenset({EntryKind.LOG, EntryKind.MODEL_CALL})
"""What scripts fill: dropped where the journal is full, and deleted with the payload."""
ENTRY_BYTES = 120
"""Counted for each entry besides its payload."""
_FULL = {"stream": "airlock", "text": "The journal is full: further output and model calls are not kept."}


def write(
    connection: Connection, row: EvaluationRow, entries: Sequence[NewEntry], max_bytes: int = MAX_JOURNAL_BYTES
) -> None:
    """Append entries to the journal of a locked row; those of frames that it has already are left out.

    Call it once per transaction: it counts from what the row said.
    """
    size, full = row.journal_bytes, row.journal_full
    written: list[dict[str, Any]] = []
    for entry in _fresh(connection, row.evaluation_id, entries):
        kept, payload = entry, payload_text(entry.payload)
        if entry.kind in CONTENT:
            if full or row.deleted_at is not None:
                continue
            if size + len(payload) + ENTRY_BYTES > max_bytes:
                kept = NewEntry(at=entry.at, kind=EntryKind.LOG, run=entry.run, stage=entry.stage, payload=dict(_FULL))
                full, payload = True, payload_text(kept.payload)
        size += len(payload) + ENTRY_BYTES
        seq = row.last_seq + len(written) + 1
        written.append(_row_of(row.evaluation_id, row.tenant, seq, kept, payload))
    if not written:
        return
    connection.execute(insert(journal), written)
    connection.execute(
        update(evaluations)
        .where(evaluations.c.evaluation_id == row.evaluation_id)
        .values(last_seq=row.last_seq + len(written), journal_bytes=size, journal_full=full)
    )


def first_bytes(entry: NewEntry) -> int:
    """What the first entry of a journal counts."""
    return len(payload_text(entry.payload)) + ENTRY_BYTES


def write_first(connection: Connection, evaluation: Evaluation, entry: NewEntry) -> None:
    """Begin a journal whose row says already that it holds one entry, of `first_bytes`."""
    payload = payload_text(entry.payload)
    connection.execute(insert(journal).values(_row_of(evaluation.evaluation_id, evaluation.tenant, 1, entry, payload)))


def status_entry(
    status: Status, at: datetime, stage: Stage | None = None, verdict: Verdict | None = None, cause: Cause | None = None
) -> NewEntry:
    """An entry of kind `status`."""
    payload: dict[str, JsonValue] = {"status": status.value, "stage": stage, "verdict": verdict}
    if cause is not None:
        payload["cause"] = cause.model_dump(mode="json")
    return NewEntry(at=at, kind=EntryKind.STATUS, stage=stage, payload=payload)


def payload_text(payload: Mapping[str, JsonValue]) -> str:
    """A payload as JSON in ASCII. Halves of surrogate pairs, which nothing downstream can encode, are replaced."""
    text = json.dumps(payload, separators=(",", ":"))
    if "\\ud" not in text:
        return text
    whole = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    whole = whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return json.dumps(json.loads(whole), separators=(",", ":"))


def _fresh(connection: Connection, evaluation_id: str, entries: Sequence[NewEntry]) -> list[NewEntry]:
    frames: dict[str, set[int]] = {}
    for entry in entries:
        if entry.frame is not None:
            frames.setdefault(entry.run, set()).add(entry.frame)
    known: set[tuple[str, int]] = set()
    for run, numbers in frames.items():
        query = select(journal.c.frame).where(
            journal.c.evaluation_id == evaluation_id,
            journal.c.run == run,
            journal.c.frame.between(min(numbers), max(numbers)),
        )
        known.update((run, frame) for frame in (connection.execute(query)).scalars())
    fresh: list[NewEntry] = []
    for entry in entries:
        if entry.frame is not None:
            if (entry.run, entry.frame) in known:
                continue
            known.add((entry.run, entry.frame))
        fresh.append(entry)
    return fresh


def _row_of(evaluation_id: str, tenant: str, seq: int, entry: NewEntry, payload: str) -> dict[str, Any]:
    return {
        "evaluation_id": evaluation_id,
        "seq": seq,
        "tenant": tenant,
        "at": entry.at,
        "kind": entry.kind,
        "run": entry.run,
        "frame": entry.frame,
        "stage": entry.stage,
        "payload": payload,
    }
