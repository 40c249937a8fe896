"""What is asked about many rows: pages of a tenant's evaluations, and places in a queue."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select, tuple_

from domain.lifecycle import Status, is_terminal
from storage.records import BadCursor, EvaluationRecord, ListedEvaluation, Page, QueuePlace
from storage.tables import evaluations

MAX_PAGE = 200
_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE = re.compile(r"1:(\d{1,18}):(eval_[a-z2-7]{26})")
_LISTED = [evaluations.c[name] for name in ListedEvaluation.model_fields]
"""Not the report: with its result and attempts it would cost a page of 200 its time."""
_WAITS_FOR = {
    Status.QUEUED: "waits for a validation worker",
    Status.VALIDATED: "waits for an execution slot",
}
_DOES_NOT_WAIT = {
    Status.PENDING_VALIDATION: "is in review",
    Status.AWAITING_APPROVAL: "waits for a person",
    Status.EXECUTING: "is being executed",
    Status.STOPPING: "is being stopped",
}


def page(connection: Connection, tenant: str, status: Status | None, limit: int, cursor: str | None) -> Page:
    """Evaluations of a tenant, the newest first. Raises BadCursor."""
    limit = max(1, min(limit, MAX_PAGE))
    place = tuple_(evaluations.c.queued_at, evaluations.c.evaluation_id)
    query = select(*_LISTED).where(evaluations.c.tenant == tenant)
    if status is not None:
        query = query.where(evaluations.c.status == status)
    if cursor is not None:
        query = query.where(place < tuple_(*_place_at(cursor)))
    query = query.order_by(evaluations.c.queued_at.desc(), evaluations.c.evaluation_id.desc()).limit(limit + 1)
    records = tuple(ListedEvaluation.model_validate(row) for row in connection.execute(query).mappings())
    more = len(records) > limit
    return Page(records[:limit], _cursor_at(records[limit - 1]) if more else None)


def queue_place(connection: Connection, record: EvaluationRecord, now: datetime) -> QueuePlace:
    """How many wait for the same next slot and were queued earlier, of any tenant, plus one."""
    reason = _WAITS_FOR.get(record.status)
    if reason is None:
        reason = "has ended" if is_terminal(record.status) else _DOES_NOT_WAIT[record.status]
        return QueuePlace(position=None, as_of=now, approximate=False, reason=reason)
    earlier = tuple_(evaluations.c.queued_at, evaluations.c.evaluation_id) < tuple_(
        record.queued_at, record.evaluation_id
    )
    query = select(func.count()).select_from(evaluations).where(evaluations.c.status == record.status, earlier)
    count = (connection.execute(query)).scalar_one()
    return QueuePlace(position=count + 1, as_of=now, approximate=True, reason=reason)


def _cursor_at(record: ListedEvaluation) -> str:
    microseconds = (record.queued_at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(f"1:{microseconds}:{record.evaluation_id}".encode()).decode().rstrip("=")


def _place_at(cursor: str) -> tuple[datetime, str]:
    try:
        words = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        place = _PLACE.fullmatch(words)
        if place is None:
            raise BadCursor("this is no cursor of a page")
        return _EPOCH + int(place[1]) * _MICROSECOND, place[2]
    except (binascii.Error, ValueError, OverflowError) as error:
        raise BadCursor("this is no cursor of a page") from error
