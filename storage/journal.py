"""The journal: what happened to an evaluation, in order, for every process to read.

What an entry's payload holds, by kind:

status      status, stage, verdict, and where it is an end other than completed: cause
stage       stage, state (started, ended, ...), attempt, and what else the stage tells
log         stream (stdout, stderr; airlock where we speak ourselves), text
model_call  what was asked, what was answered, milliseconds
finding     the finding
receipt     outcome, exit_code, signal, has_result, result_digest, sizes and times; nothing that the script wrote
stop        reason, by
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import Connection, Integer, Row, Select, String, and_, column, func, select, values

from domain.journal import Entry, EntryKind, NewEntry
from domain.limits import MAX_JOURNAL_BYTES
from storage.database import Database
from storage.entries import write
from storage.journal_batch import JournalBatch
from storage.rows import place_of
from storage.tables import journal

WATCHED_AT_ONCE = 1000
"""Evaluations that one query asks about: three parameters each, and databases allow 32,000."""


class Journal:
    """Appends and reads. Everything raises StorageUnavailable."""

    def __init__(self, database: Database, max_bytes: int = MAX_JOURNAL_BYTES) -> None:
        self._database = database
        self._max_bytes = max_bytes

    async def append(self, evaluation_id: str, entries: Sequence[NewEntry]) -> None:
        """Keep entries, in their order and without a gap in `seq`. A frame that is known already is left out.

        Beyond the bound, and after a deletion, logs and model calls are left out too. Raises RecordMissing.
        """
        if entries:
            await self._database.write(_append, evaluation_id, entries, self._max_bytes)

    def batch(self, evaluation_id: str) -> AbstractAsyncContextManager[JournalBatch]:
        """A journal for one run, which appends little and often."""
        return JournalBatch(evaluation_id, self.append)

    async def read(
        self, evaluation_id: str, after: int = 0, limit: int = 500, kinds: frozenset[EntryKind] | None = None
    ) -> list[Entry]:
        """Entries behind `after`, the oldest first. The caller has checked whose evaluation it is."""
        return [_entry(row) for row in await self._database.read(_behind, evaluation_id, after, limit, kinds)]

    async def read_many(self, after: Mapping[str, int], limit: int) -> dict[str, list[Entry]]:
        """The same for many evaluations at once, up to `limit` for each. Those without anything new are left out."""
        found: dict[str, list[Entry]] = {}
        for row in await self._database.read(_new, list(after.items()), limit):
            found.setdefault(row.evaluation_id, []).append(_entry(row))
        return found


def _append(connection: Connection, evaluation_id: str, entries: Sequence[NewEntry], max_bytes: int) -> None:
    write(connection, place_of(connection, evaluation_id), entries, max_bytes)


def _behind(
    connection: Connection, evaluation_id: str, after: int, limit: int, kinds: frozenset[EntryKind] | None
) -> Sequence[Row[Any]]:
    query = select(journal).where(journal.c.evaluation_id == evaluation_id, journal.c.seq > after)
    if kinds is not None:
        query = query.where(journal.c.kind.in_(sorted(kinds)))
    return connection.execute(query.order_by(journal.c.seq).limit(limit)).all()


def _new(connection: Connection, after: Sequence[tuple[str, int]], limit: int) -> list[Row[Any]]:
    rows: list[Row[Any]] = []
    for start in range(0, len(after), WATCHED_AT_ONCE):
        rows += connection.execute(_new_of(after[start : start + WATCHED_AT_ONCE], limit))
    return rows


def _new_of(after: Sequence[tuple[str, int]], limit: int) -> Select[Any]:
    watched = values(column("evaluation_id", String), column("after", Integer), name="watched").data(list(after)).cte()
    place = func.row_number().over(partition_by=journal.c.evaluation_id, order_by=journal.c.seq).label("place")
    new = (
        select(journal, place)
        .join(watched, and_(journal.c.evaluation_id == watched.c.evaluation_id, journal.c.seq > watched.c.after))
        .subquery()
    )
    return select(new).where(new.c.place <= limit).order_by(new.c.evaluation_id, new.c.seq)


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        seq=row.seq,
        at=row.at,
        kind=row.kind,
        run=row.run,
        frame=row.frame,
        stage=row.stage,
        payload=json.loads(row.payload),
    )
