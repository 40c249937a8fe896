"""The rows of evaluations: everything that is asked of them and done to them, each in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from domain.evaluation import Evaluation, EvaluationEnd, StopOrder
from domain.findings import Finding
from domain.lifecycle import Stage, Status
from domain.runs import ModelUse, RunReport
from storage import deletion, execution, listings, submissions, transitions
from storage.blobs import Blobs
from storage.database import Database
from storage.records import (
    BadCursor,
    EvaluationRecord,
    Idempotency,
    IdempotencyConflict,
    NewEvaluation,
    Page,
    QueuePlace,
    RecordSummary,
    StatusChange,
    StopAnswer,
    StoredReport,
    Submission,
)
from storage.rows import found, record_of
from storage.tables import evaluations

__all__ = [
    "BadCursor",
    "EvaluationRecord",
    "Evaluations",
    "Idempotency",
    "IdempotencyConflict",
    "NewEvaluation",
    "Page",
    "QueuePlace",
    "RecordSummary",
    "StatusChange",
    "StopAnswer",
    "StoredReport",
    "Submission",
]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Evaluations:
    """Every method raises StorageUnavailable; every change of an unknown evaluation raises RecordMissing.

    A change writes the row and its journal entries in one transaction. Statuses go along `TRANSITIONS` only; where
    the row trails, the statuses between are passed and journaled too. A terminal status never changes.
    """

    def __init__(self, database: Database, now: Callable[[], datetime] = _utc_now) -> None:
        self._database = database
        self._now = now

    async def submit(self, new: NewEvaluation, idempotency: Idempotency | None) -> Submission:
        """Accept an evaluation with its script. Raises IdempotencyConflict, for 24 hours after the key was used."""
        return await self._database.write(submissions.submit, new, idempotency)

    async def repeated(self, tenant: str, idempotency: Idempotency) -> EvaluationRecord | None:
        """What the same request has made already; None where it is new. Raises IdempotencyConflict."""
        return await self._database.read(submissions.repeated, tenant, idempotency, self._now())

    async def mark_started(self, *evaluation_ids: str) -> None:
        """Note that their workflows were started, so that the sweep passes them over."""
        await self._database.write(submissions.mark_started, evaluation_ids, self._now())

    async def unstarted(self, older_than: timedelta, limit: int) -> list[Evaluation]:
        """Evaluations that were accepted longer ago than this, and whose workflow nobody has started: oldest first."""
        return await self._database.read(submissions.unstarted, self._now() - older_than, limit)

    async def unstarted_one(self, evaluation_id: str) -> Evaluation | None:
        """One evaluation whose workflow nobody has started. None where somebody has, or where it has ended.

        Raises RecordMissing.
        """
        return await self._database.read(submissions.unstarted_one, evaluation_id)

    async def find(self, evaluation_id: str, tenant: str | None = None) -> EvaluationRecord | None:
        """The record. None where there is none, or where it is not the named tenant's."""
        conditions = [evaluations.c.evaluation_id == evaluation_id]
        if tenant is not None:
            conditions.append(evaluations.c.tenant == tenant)
        row = await self._database.read(found, *conditions)
        return None if row is None else record_of(row)

    async def page(self, tenant: str, status: Status | None, limit: int, cursor: str | None) -> Page:
        """Evaluations of a tenant, newest first, at most 200. Raises BadCursor."""
        return await self._database.read(listings.page, tenant, status, limit, cursor)

    async def queue_place(self, record: EvaluationRecord) -> QueuePlace:
        """Where a record stands among all that wait for the same slot."""
        return await self._database.read(listings.queue_place, record, self._now())

    async def advance(self, change: StatusChange) -> bool:
        """Go on to a status. False where the row is there already, is past it, or can't reach it any more."""
        return await self._database.write(transitions.advance, change)

    async def note_stage(
        self, evaluation_id: str, stage: Stage, at: datetime, payload: Mapping[str, JsonValue]
    ) -> None:
        """Journal what a stage is about, once per `state` and `attempt` of the payload."""
        await self._database.write(transitions.note_stage, evaluation_id, stage, at, payload)

    async def order_stop(self, evaluation_id: str, order: StopOrder, at: datetime) -> StopAnswer:
        """Journal a stop. Between it and a receipt the first counts."""
        return await self._database.write(execution.order_stop, evaluation_id, order, at)

    async def stop_ordered(self, evaluation_id: str) -> StopOrder | None:
        """The stop that was journaled. One small query: every run asks it twice a second."""
        return await self._database.read(execution.stop_ordered, evaluation_id)

    async def begin_execution(self, evaluation_id: str, run_id: str, worker: str, at: datetime) -> bool:
        """Say that the script is about to be delivered, once and for all.

        False: it was begun before, a stop was journaled first, or it has ended. Nothing may be delivered then. The
        same `worker` and `at` again are the same beginning, whose answer was lost.
        """
        return await self._database.write(execution.begin, evaluation_id, run_id, worker, at)

    async def record_receipt(
        self,
        evaluation_id: str,
        report: RunReport,
        findings: tuple[Finding, ...],
        model_use: ModelUse,
        at: datetime,
    ) -> bool:
        """Keep what came of the execution. Repeating it changes nothing and answers the same.

        False: a stop was journaled first, and the report is kept without its result; or the evaluation had ended.
        """
        return await self._database.write(execution.record_receipt, evaluation_id, report, findings, model_use, at)

    async def conclude(
        self, end: EvaluationEnd, at: datetime, findings: tuple[Finding, ...] = (), findings_digest: str = ""
    ) -> EvaluationRecord:
        """Write the end; the first one stays. Where a stop was journaled that the workflow never saw: stopped."""
        return await self._database.write(transitions.conclude, end, at, findings, findings_digest)

    async def delete_payload(self, tenant: str, evaluation_id: str) -> bool:
        """Delete script, params, output, transcript and result of an ended evaluation. Idempotent.

        False where the tenant has no such evaluation, or it has not ended. A blob goes with the last that needs it.
        """
        return await self._database.write(deletion.delete_payload, tenant, evaluation_id, self._now())

    async def result(self, record: EvaluationRecord) -> JsonValue:
        """The result, None where there is none or it was deleted."""
        report = record.report
        if report is None or not report.has_result or record.deleted_at is not None:
            return None
        if not report.result_in_blob or report.result_digest is None:
            return report.result
        content = await Blobs(self._database).get(record.tenant, report.result_digest)
        return None if content is None else json.loads(content)
