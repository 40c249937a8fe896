"""Whatever happens to an evaluation, in whatever order and by whomever, its row and its journal tell one story."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from domain.journal import Entry, EntryKind
from domain.lifecycle import TRANSITIONS, Stage, Status, is_terminal
from storage.database import Database
from storage.evaluations import EvaluationRecord, Evaluations, StopAnswer
from storage.journal import Journal
from storage.tables import metadata
from tests.storage.rows import ORDER, ORIGIN, RUN, USE, A, a_line, a_report, end, later, new, to

Act = Callable[[Evaluations, Journal], Awaitable[object]]

ENDS = sorted(status for status in Status if is_terminal(status))
ACTS: dict[str, Act] = {
    **{f"to {status}": lambda rows, _, status=status: rows.advance(to(status)) for status in Status},
    **{
        f"end {status}": lambda rows, _, status=status: rows.conclude(end(status, cause=ORIGIN), later(9))
        for status in ENDS
    },
    "stop": lambda rows, _: rows.order_stop(A, ORDER, later(4)),
    "begin": lambda rows, _: rows.begin_execution(A, RUN, "worker", later(5)),
    "receipt": lambda rows, _: rows.record_receipt(A, a_report(7), (), USE, later(6)),
    "line": lambda _, journal: journal.append(A, [a_line(1), a_line(2)]),
    "note": lambda rows, _: rows.note_stage(A, Stage.SANDBOX_TRIAL, later(2), {"state": "started", "attempt": 1}),
    "delete": lambda rows, _: rows.delete_payload("tenant-a", A),
}
FORWARD = ["to pending_validation", "to validated", "begin"]
"""Where random acts alone seldom lead."""


async def played(url: str, acts: Sequence[tuple[str, str]]) -> tuple[EvaluationRecord, list[Entry], list[object]]:
    """What is left after pairs of acts, the two of each pair at once and from two databases."""
    async with Database(url) as first, Database(url) as second:
        sides = [(Evaluations(database), Journal(database)) for database in (first, second)]
        rows, journal = sides[0]
        await rows.submit(new(), None)
        answers: list[object] = []
        for pair in acts:
            answers += await asyncio.gather(*(ACTS[act](*side) for act, side in zip(pair, sides, strict=True)))
        record = await rows.find(A)
        assert record is not None
        return record, await journal.read(A), answers


def emptied(url: str) -> str:
    """The database of an earlier example, without its rows: faster than a new one."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    engine.dispose()
    return url


@given(
    forward=st.integers(0, len(FORWARD)),
    acts=st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from(sorted(ACTS))), max_size=6),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_row_and_journal_tell_one_story(url: str, forward: int, acts: list[tuple[str, str]]) -> None:
    begun = [(act, "line") for act in FORWARD[:forward]]
    record, entries, answers = asyncio.run(played(emptied(url), begun + acts))

    statuses = [Status(str(entry.payload["status"])) for entry in entries if entry.kind is EntryKind.STATUS]
    assert statuses[0] is Status.QUEUED
    assert all(after in TRANSITIONS[before] for before, after in pairwise(statuses))
    assert record.status is statuses[-1]
    assert is_terminal(record.status) is (record.ended_at is not None)
    check_the_stop(record, entries, answers)
    seqs = [entry.seq for entry in entries]
    assert seqs == sorted(set(seqs))
    assert record.deleted_at is not None or seqs == list(range(1, len(seqs) + 1))


def check_the_stop(record: EvaluationRecord, entries: list[Entry], answers: list[object]) -> None:
    receipts = [entry for entry in entries if entry.kind is EntryKind.RECEIPT]
    stops = [entry for entry in entries if entry.kind is EntryKind.STOP]
    assert answers.count(StopAnswer.ACCEPTED) == len(stops) == (record.stop is not None)
    assert len(receipts) == (record.report is not None)
    if record.report is not None and record.stop is not None:
        assert record.report.after_stop is (stops[0].seq < receipts[0].seq)
        assert not record.report.has_result
