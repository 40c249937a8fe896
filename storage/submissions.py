"""How an evaluation comes to be: row, script, journal and idempotency in one transaction; and its workflow's start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from domain.errors import RecordMissing
from domain.evaluation import Evaluation, ScriptRef
from domain.lifecycle import TERMINAL, Status
from storage.blobs import keep
from storage.entries import first_bytes, status_entry, write_first
from storage.records import EvaluationRecord, Idempotency, IdempotencyConflict, NewEvaluation, Submission
from storage.rows import EvaluationRow, found, locked, record_of
from storage.tables import evaluations, idempotency

IDEMPOTENT_FOR = timedelta(hours=24)


def submit(connection: Connection, new: NewEvaluation, repeats: Idempotency | None) -> Submission:
    """Accept an evaluation, or find the one that the same request has made. Raises IdempotencyConflict."""
    evaluation = new.evaluation
    if repeats is not None:
        earlier = _claimed(connection, evaluation, repeats)
        if earlier is not None:
            return Submission(record_of(locked(connection, earlier)), created=False)
    ref = keep(connection, evaluation.tenant, new.script)
    if ref != evaluation.script:
        raise ValueError("the script is not the one that its reference names")
    queued = status_entry(Status.QUEUED, evaluation.queued_at)
    row = _row_of(new) | {"last_seq": 1, "journal_bytes": first_bytes(queued)}
    connection.execute(insert(evaluations).values(row))
    write_first(connection, evaluation, queued)
    return Submission(_record_of(new), created=True)


def repeated(connection: Connection, tenant: str, repeats: Idempotency, now: datetime) -> EvaluationRecord | None:
    """What the same request has made already; None where it is new. Raises IdempotencyConflict."""
    columns = idempotency.c
    mine = (columns.tenant == tenant, columns.key == repeats.key, columns.expires_at > now)
    earlier = connection.execute(select(idempotency).where(*mine)).one_or_none()
    if earlier is None:
        return None
    _require_same(earlier, repeats)
    row = found(connection, evaluations.c.evaluation_id == earlier.evaluation_id)
    return None if row is None else record_of(row)


def mark_started(connection: Connection, evaluation_ids: Sequence[str], at: datetime) -> None:
    """Note that there are workflows. The first time stays."""
    columns = evaluations.c
    connection.execute(
        update(evaluations)
        .where(columns.evaluation_id.in_(evaluation_ids), columns.workflow_started_at.is_(None))
        .values(workflow_started_at=at)
    )


def unstarted(connection: Connection, before: datetime, limit: int) -> list[Evaluation]:
    """Evaluations without a workflow that were queued before a time, the oldest first. Stopped ones need one too."""
    columns = evaluations.c
    query = (
        select(evaluations)
        .where(
            columns.status.in_(sorted(set(Status) - TERMINAL)),
            columns.workflow_started_at.is_(None),
            columns.queued_at <= before,
        )
        .order_by(columns.queued_at, columns.evaluation_id)
        .limit(limit)
    )
    return [_evaluation_of(row) for row in connection.execute(query)]


def unstarted_one(connection: Connection, evaluation_id: str) -> Evaluation | None:
    """The same for one. Raises RecordMissing."""
    row = found(connection, evaluations.c.evaluation_id == evaluation_id)
    if row is None:
        raise RecordMissing("there is no such evaluation")
    return None if row.workflow_started_at is not None or row.status in TERMINAL else _evaluation_of(row)


def _claimed(connection: Connection, evaluation: Evaluation, repeats: Idempotency) -> str | None:
    """The evaluation that has the key; None where it is ours from now on."""
    columns = idempotency.c
    expired = delete(idempotency).where(columns.tenant == evaluation.tenant, columns.expires_at <= evaluation.queued_at)
    connection.execute(expired)
    claim = {
        "tenant": evaluation.tenant,
        "key": repeats.key,
        "request_digest": repeats.request_digest,
        "evaluation_id": evaluation.evaluation_id,
        "expires_at": evaluation.queued_at + IDEMPOTENT_FOR,
    }
    try:
        with connection.begin_nested():
            connection.execute(insert(idempotency).values(claim))
            return None
    except IntegrityError:
        query = select(idempotency).where(columns.tenant == evaluation.tenant, columns.key == repeats.key)
        earlier = (connection.execute(query)).one()
    _require_same(earlier, repeats)
    return earlier.evaluation_id


def _require_same(earlier: Row[Any], repeats: Idempotency) -> None:
    if earlier.request_digest != repeats.request_digest:
        raise IdempotencyConflict("the idempotency key was used for another request")


def _row_of(new: NewEvaluation) -> dict[str, Any]:
    evaluation = new.evaluation
    return {
        "evaluation_id": evaluation.evaluation_id,
        "tenant": evaluation.tenant,
        "status": Status.QUEUED,
        "model_id": evaluation.model_id,
        "script_sha256": evaluation.script.sha256,
        "script_size": evaluation.script.size,
        "config": evaluation.config,
        "policy": evaluation.policy,
        "queued_at": evaluation.queued_at,
        "updated_at": evaluation.queued_at,
        "findings": (),
        "findings_digest": "",
        "retry_of": new.retry_of,
        "journal_full": False,
    }


def _record_of(new: NewEvaluation) -> EvaluationRecord:
    """What reading the new row would give."""
    evaluation = new.evaluation
    return EvaluationRecord(
        evaluation_id=evaluation.evaluation_id,
        tenant=evaluation.tenant,
        status=Status.QUEUED,
        model_id=evaluation.model_id,
        script=evaluation.script,
        config=evaluation.config,
        policy=evaluation.policy,
        queued_at=evaluation.queued_at,
        updated_at=evaluation.queued_at,
        retry_of=new.retry_of,
        last_seq=1,
    )


def _evaluation_of(row: EvaluationRow) -> Evaluation:
    return Evaluation(
        evaluation_id=row.evaluation_id,
        tenant=row.tenant,
        model_id=row.model_id,
        script=ScriptRef(sha256=row.script_sha256, size=row.script_size),
        config=row.config,
        policy=row.policy,
        queued_at=row.queued_at,
    )
