"""Pages of a tenant's evaluations, and places in a queue."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text

from domain.lifecycle import Status
from domain.retention import Retention
from storage.database import Database
from storage.evaluations import BadCursor, EvaluationRecord, Evaluations
from storage.listings import MAX_PAGE, _cursor_at, _place_at  # pyright: ignore[reportPrivateUsage]
from storage.oversight import Oversight
from tests.storage.rows import A, bring, later, new

WAITING = (Status.QUEUED, Status.VALIDATED)


async def listed(evaluations: Evaluations, status: Status | None = None, limit: int = 2) -> list[str]:
    """The first letters of all ids, page by page."""
    letters: list[str] = []
    cursor = None
    while True:
        page = await evaluations.page("tenant-a", status, limit, cursor)
        assert len(page.records) <= limit
        letters += [record.evaluation_id[5] for record in page.records]
        cursor = page.next_cursor
        if cursor is None:
            return letters


async def found(evaluations: Evaluations, evaluation_id: str) -> EvaluationRecord:
    record = await evaluations.find(evaluation_id)
    assert record is not None
    return record


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
async def test_pages_hold_everything_once_newest_first(evaluations: Evaluations, limit: int) -> None:
    for name, seconds in (("c", 0), ("a", 1), ("e", 1), ("b", 1), ("d", 2)):
        await evaluations.submit(new(name, queued_after=seconds), None)

    assert await listed(evaluations, limit=limit) == ["d", "e", "b", "a", "c"]


async def test_what_is_submitted_meanwhile_moves_no_page(evaluations: Evaluations) -> None:
    for name, seconds in (("a", 0), ("b", 1), ("c", 2)):
        await evaluations.submit(new(name, queued_after=seconds), None)
    first = await evaluations.page("tenant-a", None, 2, None)

    await evaluations.submit(new("d", queued_after=3), None)

    second = await evaluations.page("tenant-a", None, 2, first.next_cursor)
    assert [record.evaluation_id[5] for record in second.records] == ["a"]


async def test_a_page_is_of_one_tenant(evaluations: Evaluations) -> None:
    await evaluations.submit(new("a", tenant="tenant-a"), None)
    await evaluations.submit(new("b", tenant="tenant-b"), None)

    assert await listed(evaluations) == ["a"]
    assert (await evaluations.page("tenant-c", None, 10, None)).records == ()


async def test_a_cursor_of_another_tenant_shows_nothing_of_it(evaluations: Evaluations) -> None:
    for name, seconds in (("a", 0), ("b", 1), ("c", 2)):
        await evaluations.submit(new(name, tenant="tenant-b", queued_after=seconds), None)
    foreign = (await evaluations.page("tenant-b", None, 1, None)).next_cursor

    assert (await evaluations.page("tenant-a", None, 10, foreign)).records == ()


async def test_a_page_can_be_of_one_status(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.VALIDATED, "a")
    await bring(evaluations, Status.QUEUED, "b")
    await bring(evaluations, Status.VALIDATED, "c")

    assert await listed(evaluations, Status.VALIDATED, limit=1) == ["c", "a"]


async def test_a_page_has_a_maximum(evaluations: Evaluations) -> None:
    await evaluations.submit(new(), None)

    assert len((await evaluations.page("tenant-a", None, 10**9, None)).records) == 1
    assert len((await evaluations.page("tenant-a", None, -5, None)).records) == 1
    assert MAX_PAGE == 200


@given(st.text(max_size=80))
def test_what_is_no_cursor_is_refused_with_one_error(text: str) -> None:
    with pytest.raises(BadCursor):
        _place_at(text)


@pytest.mark.parametrize("words", ["1:999999999999999999:" + A, "1:5:eval_x", "2:5:" + A, "1:-5:" + A, "1:٣:" + A])
def test_a_cursor_that_was_made_up_is_refused(words: str) -> None:
    with pytest.raises(BadCursor):
        _place_at(base64.urlsafe_b64encode(words.encode()).decode())


async def test_a_cursor_names_its_place_to_the_microsecond(evaluations: Evaluations) -> None:
    await evaluations.submit(new(queued_after=0.123457), None)
    record = await found(evaluations, A)

    assert _place_at(_cursor_at(record)) == (later(0.123457), A)


@pytest.mark.parametrize("status", WAITING)
async def test_a_place_counts_those_who_wait_for_the_same_and_came_earlier(
    evaluations: Evaluations, status: Status
) -> None:
    other = WAITING[1 - WAITING.index(status)]
    for name, where, seconds in (("b", status, 1), ("c", other, 2), ("d", Status.EXECUTING, 3), ("e", status, 9)):
        await bring(evaluations, where, name, queued_after=seconds)
    mine = await bring(evaluations, status, "a", queued_after=5)

    place = await evaluations.queue_place(await found(evaluations, mine))

    assert place.position == 2
    assert "waits" in place.reason


async def test_a_place_counts_all_tenants_and_breaks_ties_by_id(evaluations: Evaluations) -> None:
    await evaluations.submit(new("a", tenant="tenant-b"), None)
    await evaluations.submit(new("b"), None)
    await evaluations.submit(new("c"), None)

    record = await found(evaluations, new("b").evaluation.evaluation_id)

    assert (await evaluations.queue_place(record)).position == 2


@pytest.mark.parametrize("status", sorted(set(Status) - set(WAITING)))
async def test_who_does_not_wait_has_a_reason_instead_of_a_place(
    evaluations: Evaluations, database: Database, status: Status
) -> None:
    await bring(evaluations, status)
    asking = Evaluations(database, now=lambda: later(77))

    place = await asking.queue_place(await found(evaluations, A))

    assert (place.position, place.as_of) == (None, later(77))
    assert place.reason


async def plans(database: Database, asking: Callable[[], Awaitable[object]]) -> str:
    """How the database would answer what is asked, if it uses an index wherever there is one."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    await asking()
    event.remove(database.engine, "before_cursor_execute", note)

    def explained(connection: Connection) -> str:
        words = "EXPLAIN QUERY PLAN "
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            words = "EXPLAIN "
        lines = [connection.exec_driver_sql(words + statement, parameters).all() for statement, parameters in asked]
        return "\n".join(str(row) for rows in lines for row in rows)

    return await database.read(explained)


@pytest.mark.parametrize("status", [None, Status.FAILED])
@pytest.mark.parametrize("from_a_cursor", [False, True])
async def test_a_page_is_read_from_its_index_without_sorting(
    evaluations: Evaluations, database: Database, status: Status | None, *, from_a_cursor: bool
) -> None:
    for name in "abc":
        await bring(evaluations, Status.FAILED, name)
    cursor = (await evaluations.page("tenant-a", status, 1, None)).next_cursor if from_a_cursor else None

    told = await plans(database, lambda: evaluations.page("tenant-a", status, 2, cursor))

    assert "ix_evaluations_" in told  # of several that fit, Postgres takes any while a table is small
    assert not any(word in told for word in ("TEMP B-TREE", "SCAN evaluations", "Sort", "Seq Scan"))


async def test_a_place_in_a_queue_is_counted_in_its_index(evaluations: Evaluations, database: Database) -> None:
    await bring(evaluations, Status.QUEUED)
    record = await evaluations.find(A)
    assert record is not None

    told = await plans(database, lambda: evaluations.queue_place(record))

    assert "ix_evaluations_queue" in told


async def test_what_has_expired_is_found_in_its_index(database: Database) -> None:
    retention = Retention(days={"tenant-a": 1, "*": 2})

    told = await plans(database, lambda: Oversight(database).expired(retention, later(0), 10))

    assert "ix_evaluations_ended" in told
