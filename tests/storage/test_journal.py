"""The journal: one sequence without gaps, everything once, bounded."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import RecordMissing
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage, Status
from storage.database import Database
from storage.entries import payload_text
from storage.evaluations import Evaluations
from storage.journal import WATCHED_AT_ONCE, Journal
from tests.storage.rows import RUN, A, a_line, bring, later, new


async def seqs(journal: Journal, evaluation_id: str = A) -> list[int]:
    return [entry.seq for entry in await journal.read(evaluation_id, limit=10_000)]


@pytest.fixture
async def evaluation(evaluations: Evaluations) -> str:
    """Has one entry: that it is queued."""
    await evaluations.submit(new(), None)
    return A


async def test_an_entry_comes_back_as_it_went_in(journal: Journal, evaluation: str) -> None:
    entry = NewEntry(
        at=later(0.123456),
        kind=EntryKind.MODEL_CALL,
        run=RUN,
        frame=1 << 40,
        stage=Stage.SANDBOX_TRIAL,
        payload={"call": 1, "messages": [{"role": "user", "content": "é\x00\x1b[31m\u2028"}], "answer": None},
    )

    await journal.append(evaluation, [entry])

    (kept,) = await journal.read(evaluation, after=1)
    assert kept.model_dump(exclude={"seq"}) == entry.model_dump()
    assert kept.seq == 2


async def test_a_frame_is_kept_once_however_often_it_comes(journal: Journal, evaluation: str) -> None:
    await journal.append(evaluation, [a_line(1), a_line(2), a_line(2, "twice")])
    await journal.append(evaluation, [a_line(2, "again"), a_line(3)])

    entries = await journal.read(evaluation, kinds=frozenset({EntryKind.LOG}))
    assert [(entry.frame, entry.payload["text"]) for entry in entries] == [(1, "words"), (2, "words"), (3, "words")]
    assert await seqs(journal) == [1, 2, 3, 4]


async def test_the_same_frame_of_another_run_is_another_entry(journal: Journal, evaluation: str) -> None:
    await journal.append(evaluation, [a_line(1, run="trial-1"), a_line(1, run="trial-2")])

    assert await seqs(journal) == [1, 2, 3]


async def test_entries_without_a_frame_are_all_kept(journal: Journal, evaluation: str) -> None:
    await journal.append(evaluation, [a_line(None), a_line(None)])

    assert await seqs(journal) == [1, 2, 3]


async def test_many_writers_leave_no_gap_and_lose_nothing(
    database: Database, second_database: Database, evaluation: str
) -> None:
    journals = [Journal(database), Journal(second_database)]

    await asyncio.gather(
        *(journals[n % 2].append(evaluation, [a_line(frame, run=f"run-{n}") for frame in range(5)]) for n in range(40))
    )

    assert await seqs(journals[0]) == list(range(1, 202))


async def test_the_same_frames_from_two_workers_are_kept_once(
    database: Database, second_database: Database, evaluation: str
) -> None:
    lines = [a_line(frame) for frame in range(50)]

    await asyncio.gather(
        *(Journal(either).append(evaluation, lines) for _ in range(10) for either in (database, second_database))
    )

    assert await seqs(Journal(database)) == list(range(1, 52))


async def test_the_journal_of_an_unknown_evaluation_takes_nothing(journal: Journal) -> None:
    with pytest.raises(RecordMissing):
        await journal.append(A, [a_line(1)])
    assert await journal.read(A) == []


async def test_reading_begins_behind_a_place_and_ends_at_a_limit(journal: Journal, evaluation: str) -> None:
    await journal.append(evaluation, [a_line(frame) for frame in range(10)])

    assert [entry.seq for entry in await journal.read(evaluation, after=3, limit=4)] == [4, 5, 6, 7]
    assert await journal.read(evaluation, after=11) == []


async def test_reading_can_be_of_some_kinds(journal: Journal, evaluation: str) -> None:
    await journal.append(evaluation, [a_line(1), a_line(2, kind=EntryKind.MODEL_CALL)])

    entries = await journal.read(evaluation, kinds=frozenset({EntryKind.STATUS, EntryKind.MODEL_CALL}))

    assert [entry.kind for entry in entries] == [EntryKind.STATUS, EntryKind.MODEL_CALL]


async def test_reading_for_many_gives_each_what_is_new_to_it(evaluations: Evaluations, journal: Journal) -> None:
    ids = [new(name).evaluation.evaluation_id for name in "abc"]
    for name, evaluation_id in zip("abc", ids, strict=True):
        await evaluations.submit(new(name), None)
        await journal.append(evaluation_id, [a_line(frame) for frame in range(5)])

    found = await journal.read_many({ids[0]: 0, ids[1]: 4, ids[2]: 6, "eval_unknown": 0}, 3)

    assert {key: [entry.seq for entry in entries] for key, entries in found.items()} == {
        ids[0]: [1, 2, 3],
        ids[1]: [5, 6],
    }


async def test_reading_for_more_than_one_query_can_ask_about_works(journal: Journal, evaluation: str) -> None:
    watched = {f"eval_{number}": 0 for number in range(2 * WATCHED_AT_ONCE)} | {evaluation: 0}

    assert list(await journal.read_many(watched, 10)) == [evaluation]
    assert await journal.read_many({}, 10) == {}


async def test_beyond_the_bound_content_is_dropped_and_that_is_said_once(database: Database, evaluation: str) -> None:
    journal = Journal(database, max_bytes=3000)

    for frame in range(10):
        await journal.append(evaluation, [a_line(frame, "x" * 500), a_line(100 + frame, kind=EntryKind.MODEL_CALL)])

    entries = await journal.read(evaluation, kinds=frozenset({EntryKind.LOG, EntryKind.MODEL_CALL}))
    assert 2 < len(entries) < 10
    assert [entry.payload["stream"] for entry in entries].count("airlock") == 1
    assert entries[-1].payload["stream"] == "airlock"
    assert await seqs(journal) == list(range(1, len(entries) + 2))


async def test_a_full_journal_still_takes_what_matters(
    evaluations: Evaluations, database: Database, evaluation: str
) -> None:
    journal = Journal(database, max_bytes=1)
    await journal.append(evaluation, [a_line(1), a_line(2, kind=EntryKind.FINDING)])

    await evaluations.note_stage(A, Stage.QUICK_CHECKS, later(2), {"state": "started", "attempt": 1})

    kinds = [entry.kind for entry in await journal.read(evaluation)]
    assert kinds == [EntryKind.STATUS, EntryKind.LOG, EntryKind.FINDING, EntryKind.STAGE]


async def test_a_note_of_a_stage_is_kept_once_per_state_and_attempt(
    evaluations: Evaluations, journal: Journal, evaluation: str
) -> None:
    for state, attempt in (("started", 1), ("ended", 1), ("started", 1), ("started", 2), ("ended", 1)):
        await evaluations.note_stage(A, Stage.SANDBOX_TRIAL, later(2), {"state": state, "attempt": attempt, "n": 1})

    notes = await journal.read(evaluation, kinds=frozenset({EntryKind.STAGE}))
    assert [(note.payload["state"], note.payload["attempt"]) for note in notes] == [
        ("started", 1),
        ("ended", 1),
        ("started", 2),
    ]
    assert notes[0].payload["stage"] == "sandbox_trial"


async def test_a_stage_is_shown_while_it_is_at_work_and_never_goes_back(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.PENDING_VALIDATION)
    shown: list[Stage | None] = []
    for stage in (Stage.QUICK_CHECKS, Stage.SANDBOX_TRIAL, Stage.STATIC_ANALYSIS):
        await evaluations.note_stage(A, stage, later(2), {"state": "started", "attempt": 1})
        record = await evaluations.find(A)
        assert record is not None
        shown.append(record.stage)

    assert shown == [Stage.QUICK_CHECKS, Stage.SANDBOX_TRIAL, Stage.SANDBOX_TRIAL]


async def test_a_late_note_does_not_bring_a_stage_back(evaluations: Evaluations) -> None:
    await bring(evaluations, Status.VALIDATED)

    await evaluations.note_stage(A, Stage.SANDBOX_TRIAL, later(2), {"state": "ended", "attempt": 1})

    record = await evaluations.find(A)
    assert record is not None
    assert record.stage is None


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=30))
def test_no_text_of_a_script_makes_a_payload_that_cannot_be_sent_on(text: str) -> None:
    back = json.loads(payload_text({"text": text, "in": [{"a list": text}], "key " + text: 1}))

    assert len(json.dumps(back, ensure_ascii=False).encode()) > 0
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert back["text"] == text
