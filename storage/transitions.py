"""How a row goes from status to status: one transaction each, with the journal entries that tell of it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, select, update

from domain.evaluation import Cause, EvaluationEnd, StopOrder
from domain.findings import Finding
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import TRANSITIONS, Stage, Status, is_terminal
from domain.outcomes import RunOutcome
from storage.entries import status_entry, write
from storage.records import EvaluationRecord, StatusChange
from storage.rows import EvaluationRow, locked, record_of
from storage.tables import evaluations, journal

_AT_WORK = frozenset({Status.QUEUED, Status.PENDING_VALIDATION, Status.EXECUTING})
"""Where a stage may be at work. Elsewhere a note that comes late must not bring one back."""


def way(status: Status, following: Status) -> tuple[Status, ...]:
    """What to pass from one status to another, the latter included. Empty where no way leads there.

    The table has no circles, and a way through a stop or an error leads nowhere else, so the shortest is meant.
    """
    ways: deque[tuple[Status, ...]] = deque([()])
    while ways:
        passed = ways.popleft()
        for next_status in sorted(TRANSITIONS[passed[-1] if passed else status]):
            if next_status is following:
                return (*passed, next_status)
            ways.append((*passed, next_status))
    return ()


def advance(connection: Connection, change: StatusChange) -> bool:
    """Go on to a status. False where no way leads there from where the row is."""
    row = locked(connection, change.evaluation_id)
    steps = way(row.status, change.status)
    if not steps:
        return False
    values: dict[str, Any] = {"stage": change.stage}
    if change.verdict is not None:
        values["verdict"] = change.verdict
    if change.cause is not None:
        values["cause"] = change.cause
    if change.findings or change.findings_digest:
        values |= {"findings": change.findings, "findings_digest": change.findings_digest}
    last = status_entry(change.status, change.at, change.stage, change.verdict, change.cause)
    walk(connection, row, steps, last, values)
    return True


def conclude(
    connection: Connection, end: EvaluationEnd, at: datetime, findings: tuple[Finding, ...], findings_digest: str
) -> EvaluationRecord:
    """Write the end, unless there is one. The row may say something else than `end` where a stop came first."""
    row = locked(connection, end.evaluation_id)
    if is_terminal(row.status):
        return record_of(row)
    end = _possible(row, end)
    stage = end.cause.stage if end.cause else row.stage
    values: dict[str, Any] = {"cause": end.cause, "outcome": end.outcome, "stage": stage}
    if end.verdict is not None:
        values["verdict"] = end.verdict
    if findings or findings_digest:
        values |= {"findings": findings, "findings_digest": findings_digest}
    last = status_entry(end.status, at, stage, end.verdict or row.verdict, end.cause)
    walk(connection, row, way(row.status, end.status), last, values)
    return record_of(locked(connection, end.evaluation_id))


def note_stage(
    connection: Connection, evaluation_id: str, stage: Stage, at: datetime, payload: Mapping[str, JsonValue]
) -> None:
    """Journal what a stage is about, once per state and attempt."""
    row = locked(connection, evaluation_id)
    query = select(journal.c.payload).where(
        journal.c.evaluation_id == evaluation_id,
        journal.c.kind == EntryKind.STAGE,
        journal.c.stage == stage,
        journal.c.frame.is_(None),
    )
    told = [json.loads(text) for text in (connection.execute(query)).scalars()]
    if any(all(known.get(key) == payload.get(key) for key in ("state", "attempt")) for known in told):
        return
    entry = NewEntry(at=at, kind=EntryKind.STAGE, stage=stage, payload={"stage": stage.value, **payload})
    write(connection, row, [entry])
    if row.status in _AT_WORK and (row.stage is None or _place(row.stage) <= _place(stage)):
        change(connection, row, {"stage": stage}, at)


def walk(
    connection: Connection,
    row: EvaluationRow,
    steps: Sequence[Status],
    last: NewEntry,
    values: Mapping[str, Any],
    before: Sequence[NewEntry] = (),
) -> None:
    """Go along `steps`, journaling each: `before` all of them, and `last` for the last one."""
    passed = [status_entry(status, last.at) for status in steps[:-1]]
    write(connection, row, [*before, *passed, last])
    times: dict[str, datetime] = {}
    if Status.EXECUTING in steps:
        times["started_at"] = last.at
    if is_terminal(steps[-1]):
        times["ended_at"] = last.at
    change(connection, row, {"status": steps[-1], **times, **values}, last.at)


def change(connection: Connection, row: EvaluationRow, values: Mapping[str, Any], at: datetime) -> None:
    """Change columns of a locked row. `updated_at` never goes back: the clocks of several machines write it."""
    query = update(evaluations).where(evaluations.c.evaluation_id == row.evaluation_id)
    connection.execute(query.values(updated_at=max(row.updated_at, at), **values))


def _possible(row: EvaluationRow, end: EvaluationEnd) -> EvaluationEnd:
    """The end that this row can have. Nothing stays without an end, and none without a cause."""
    if way(row.status, end.status):
        if end.status is Status.COMPLETED or end.cause is not None:
            return end
        code = (end.outcome or end.status).value
        return end.model_copy(update={"cause": Cause(stage=row.stage, code=code, message=f"It ended as {code}.")})
    told = f"The workflow ended as {end.status}, the record was {row.status}."
    stage = end.cause.stage if end.cause else row.stage
    if row.status is Status.STOPPING:  # the stop was journaled first, but never reached the workflow
        order: StopOrder | None = row.stop
        message = order.reason if order and order.reason else "emergency stop"
        cause = Cause(stage=stage, code="stopped", message=message, evidence=told)
        outcome = RunOutcome.STOPPED if end.outcome else None
        return end.model_copy(update={"status": Status.STOPPED, "cause": cause, "outcome": outcome})
    cause = Cause(stage=stage, code="platform_error", message=told, evidence=end.cause.message if end.cause else "")
    return end.model_copy(update={"status": Status.ERROR, "cause": cause})


def _place(stage: Stage) -> int:
    return tuple(Stage).index(stage)
