"""What the sweep and the monitor ask about all evaluations: which wait too long, and which may have live runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from domain.evaluation import StopOrder
from domain.journal import EntryKind
from domain.lifecycle import TERMINAL, Stage, Status
from domain.retention import Retention
from storage.database import Database
from storage.rows import EvaluationRow
from storage.tables import evaluations, executions, journal

_OPEN = sorted(set(Status) - TERMINAL)


class OpenEvaluation(NamedTuple):
    """An evaluation that has not ended."""

    evaluation_id: str
    status: Status
    stage: Stage | None
    stop: StopOrder | None
    updated_at: datetime
    reported: bool
    """Whether a report of its execution is kept, so that the run is known to be over."""


class Expired(NamedTuple):
    """An ended evaluation whose payload is to be deleted."""

    tenant: str
    evaluation_id: str


class RunOwner(NamedTuple):
    """What decides whether the runs of an evaluation may live."""

    status: Status
    ended_at: datetime | None
    stopped_at: datetime | None
    """When its stop was journaled."""
    timeout_seconds: int
    begun_at: datetime | None
    """When its execution began."""
    worker: str | None
    """The worker that began it."""


class Waiting(NamedTuple):
    """The evaluations of one status."""

    number: int
    oldest: datetime
    """When the longest waiting of them was accepted."""


class Oversight:
    """Questions across tenants, for processes of the platform alone. Everything raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def queued_before(self, time: datetime, limit: int) -> list[OpenEvaluation]:
        """Evaluations that were queued before `time` and are still queued, the oldest first."""
        return await self._database.read(_queued_before, time, limit)

    async def stopping_since(self, time: datetime, limit: int) -> list[OpenEvaluation]:
        """Evaluations whose stop was ordered, and of which nothing was written since `time`."""
        return await self._database.read(_stopping_since, time, limit)

    async def quiet_since(self, time: datetime, after: str, limit: int) -> list[OpenEvaluation]:
        """Open evaluations with a workflow, of which nothing was written since `time`: by id, those behind `after`."""
        return await self._database.read(_quiet_since, time, after, limit)

    async def expired(self, retention: Retention, now: datetime, limit: int) -> list[Expired]:
        """What ended longer ago than its tenant keeps it, and has not been deleted: the oldest first."""
        return await self._database.read(_expired, retention, now, limit)

    async def owners(self, evaluation_ids: Sequence[str]) -> dict[str, RunOwner]:
        """By evaluation id; those without a row are left out."""
        return await self._database.read(_owners, evaluation_ids)

    async def begun_runs(self, run_ids: Sequence[str]) -> frozenset[str]:
        """Those of the runs whose self-check is in the journal, so that their scripts may have begun."""
        return await self._database.read(_begun_runs, run_ids)

    async def waiting(self) -> dict[Status, Waiting]:
        """Those that have not ended, by status; a status that none has is left out."""
        return await self._database.read(_waiting)

    async def stopped_at(self, evaluation_id: str) -> datetime | None:
        """When the stop of an evaluation was journaled, None where none was."""
        return await self._database.read(_stopped_at, evaluation_id)


def _queued_before(connection: Connection, time: datetime, limit: int) -> list[OpenEvaluation]:
    columns = evaluations.c
    query = select(evaluations).where(columns.status == Status.QUEUED, columns.queued_at <= time)
    rows = connection.execute(query.order_by(columns.queued_at, columns.evaluation_id).limit(limit))
    return [_open(row) for row in rows]


def _stopping_since(connection: Connection, time: datetime, limit: int) -> list[OpenEvaluation]:
    columns = evaluations.c
    query = select(evaluations).where(columns.status == Status.STOPPING, columns.updated_at <= time)
    rows = connection.execute(query.order_by(columns.updated_at, columns.evaluation_id).limit(limit))
    return [_open(row) for row in rows]


def _quiet_since(connection: Connection, time: datetime, after: str, limit: int) -> list[OpenEvaluation]:
    columns = evaluations.c
    query = select(evaluations).where(
        columns.status.in_(_OPEN),
        columns.workflow_started_at.is_not(None),
        columns.updated_at <= time,
        columns.evaluation_id > after,
    )
    return [_open(row) for row in connection.execute(query.order_by(columns.evaluation_id).limit(limit))]


def _expired(connection: Connection, retention: Retention, now: datetime, limit: int) -> list[Expired]:
    columns, named = evaluations.c, retention.named_before(now)
    due = [and_(columns.tenant == tenant, columns.ended_at <= before) for tenant, before in named.items()]
    others = retention.others_before(now)
    if others is not None:
        due.append(and_(columns.tenant.not_in(sorted(named)), columns.ended_at <= others))
    if not due:
        return []
    query = select(columns.tenant, columns.evaluation_id).where(columns.deleted_at.is_(None), or_(*due))
    # Said once more for all of them, so that the index finds where to end
    query = query.where(columns.ended_at <= max([*named.values(), *([others] if others else [])]))
    return [Expired(*row) for row in connection.execute(query.order_by(columns.ended_at).limit(limit))]


def _owners(connection: Connection, evaluation_ids: Sequence[str]) -> dict[str, RunOwner]:
    columns = evaluations.c
    stopped_at = (
        select(func.min(journal.c.at))
        .where(journal.c.evaluation_id == columns.evaluation_id, journal.c.kind == EntryKind.STOP)
        .scalar_subquery()
    )
    query = (
        select(evaluations, executions.c.begun_at, executions.c.worker, stopped_at.label("stopped_at"))
        .outerjoin(executions, executions.c.evaluation_id == columns.evaluation_id)
        .where(columns.evaluation_id.in_(evaluation_ids))
    )
    return {row.evaluation_id: _owner(row) for row in connection.execute(query)}


def _begun_runs(connection: Connection, run_ids: Sequence[str]) -> frozenset[str]:
    columns = journal.c
    told_by_a_run = columns.kind == EntryKind.STAGE, columns.run.in_(run_ids), columns.frame.is_not(None)
    of_evaluations = columns.evaluation_id.in_(sorted({run_id.partition("-")[0] for run_id in run_ids}))
    query = select(columns.run).where(of_evaluations, *told_by_a_run).distinct()
    return frozenset(connection.execute(query).scalars())


def _waiting(connection: Connection) -> dict[Status, Waiting]:
    columns = evaluations.c
    query = select(columns.status, func.count(), func.min(columns.queued_at)).where(columns.status.in_(_OPEN))
    return {
        status: Waiting(number, oldest) for status, number, oldest in connection.execute(query.group_by(columns.status))
    }


def _stopped_at(connection: Connection, evaluation_id: str) -> datetime | None:
    query = select(func.min(journal.c.at)).where(
        journal.c.evaluation_id == evaluation_id, journal.c.kind == EntryKind.STOP
    )
    return connection.execute(query).scalar_one()


def _open(row: EvaluationRow) -> OpenEvaluation:
    return OpenEvaluation(row.evaluation_id, row.status, row.stage, row.stop, row.updated_at, row.report is not None)


def _owner(row: EvaluationRow) -> RunOwner:
    return RunOwner(
        status=row.status,
        ended_at=row.ended_at,
        stopped_at=row.stopped_at,
        timeout_seconds=row.config.timeout,
        begun_at=row.begun_at,
        worker=row.worker,
    )
