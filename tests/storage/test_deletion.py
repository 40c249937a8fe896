"""Deleting a payload: what goes, what stays, and what others still need."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from domain.evaluation import Cause
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage, Status, is_terminal
from domain.outcomes import RunOutcome
from domain.results import canonical_json
from storage.blobs import Blobs
from storage.database import Database
from storage.entries import CONTENT
from storage.evaluations import Evaluations
from storage.journal import Journal
from tests.builders import SCRIPT
from tests.storage.rows import FINDING, RUN, USE, A, a_line, a_report, bring, end, later, new

LARGE = "the script's result " * 1000
SCRIPT_DIGEST = sha256(SCRIPT).hexdigest()
RESULT_DIGEST = sha256(canonical_json(LARGE)).hexdigest()


async def completed(evaluations: Evaluations, name: str, result: object = LARGE) -> str:
    evaluation_id = await bring(evaluations, Status.EXECUTING, name)
    await evaluations.record_receipt(evaluation_id, a_report(result), (FINDING,), USE, later(5))
    await evaluations.conclude(end(Status.COMPLETED, name), later(6))
    return evaluation_id


async def test_script_output_transcript_and_result_go(
    evaluations: Evaluations, journal: Journal, database: Database
) -> None:
    await completed(evaluations, "a")
    await journal.append(A, [a_line(1), a_line(2, kind=EntryKind.MODEL_CALL)])

    assert await evaluations.delete_payload("tenant-a", A)

    record = await evaluations.find(A)
    assert record is not None
    assert await evaluations.result(record) is None
    assert await Blobs(database).get("tenant-a", SCRIPT_DIGEST) is None
    assert await Blobs(database).get("tenant-a", RESULT_DIGEST) is None
    told = "".join(entry.model_dump_json() for entry in await journal.read(A)) + record.model_dump_json()
    assert "the script's" not in told
    assert not CONTENT & {entry.kind for entry in await journal.read(A)}


async def test_no_word_of_the_script_stays_in_what_is_told_of_it(evaluations: Evaluations, journal: Journal) -> None:
    await bring(evaluations, Status.EXECUTING)
    shown = FINDING.model_copy(update={"evidence": "the script's name", "snippet": "the script's line"})
    report = a_report(outcome=RunOutcome.EXCEPTION, has_result=False)
    await evaluations.record_receipt(A, report, (shown,), USE, later(5))
    payload = shown.model_dump(mode="json")
    await journal.append(A, [NewEntry(at=later(5), kind=EntryKind.FINDING, run=RUN, frame=9, payload=payload)])
    cause = Cause(stage=Stage.POD_EXECUTION, code="exception", message="the script's error", evidence="the script's")
    ended = end(Status.FAILED, cause=cause, outcome=RunOutcome.EXCEPTION)
    await evaluations.conclude(ended, later(6), (shown,), "f" * 64)

    await evaluations.delete_payload("tenant-a", A)

    record = await evaluations.find(A)
    assert record is not None
    assert record.cause is not None
    entries = await journal.read(A)
    told = "".join(entry.model_dump_json() for entry in entries) + record.model_dump_json()
    assert "the script's" not in told
    assert "/etc/hostname" not in told
    assert (record.cause.code, record.cause.message) == ("exception", "the script ended as exception")
    assert [finding.rule for finding in record.findings] == [FINDING.rule]
    assert [e.payload["status"] for e in entries if e.kind is EntryKind.STATUS][-1] == "failed"
    assert [entry.seq for entry in entries] == sorted(entry.seq for entry in entries)


async def test_the_tombstone_stays_with_the_evidence(evaluations: Evaluations, journal: Journal) -> None:
    await completed(evaluations, "a")
    before = await evaluations.find(A)

    await evaluations.delete_payload("tenant-a", A)

    record = await evaluations.find(A)
    assert before is not None
    assert record is not None
    assert record.report is not None
    assert record.deleted_at is not None
    assert (record.status, record.script, record.findings) == (Status.COMPLETED, before.script, (FINDING,))
    assert (record.report.result_digest, record.report.model_use) == (RESULT_DIGEST, USE)
    assert EntryKind.RECEIPT in {entry.kind for entry in await journal.read(A)}
    assert [found.evaluation_id for found in (await evaluations.page("tenant-a", None, 10, None)).records] == [A]


@pytest.mark.parametrize("status", [status for status in Status if not is_terminal(status)])
async def test_what_has_not_ended_is_not_deleted(evaluations: Evaluations, database: Database, status: Status) -> None:
    await bring(evaluations, status)

    assert not await evaluations.delete_payload("tenant-a", A)

    assert await Blobs(database).get("tenant-a", SCRIPT_DIGEST) == SCRIPT


async def test_nobody_deletes_what_belongs_to_another_tenant(evaluations: Evaluations) -> None:
    await completed(evaluations, "a")

    assert not await evaluations.delete_payload("tenant-b", A)

    record = await evaluations.find(A)
    assert record is not None
    assert await evaluations.result(record) == LARGE


async def test_deleting_twice_is_deleting_once(evaluations: Evaluations) -> None:
    await completed(evaluations, "a")
    await evaluations.delete_payload("tenant-a", A)
    before = await evaluations.find(A)

    assert await evaluations.delete_payload("tenant-a", A)

    assert await evaluations.find(A) == before


async def test_blobs_go_with_the_last_evaluation_that_needs_them(evaluations: Evaluations, database: Database) -> None:
    first, second = await completed(evaluations, "a"), await completed(evaluations, "b")
    blobs = Blobs(database)

    await evaluations.delete_payload("tenant-a", first)
    kept = await blobs.get("tenant-a", SCRIPT_DIGEST), await blobs.get("tenant-a", RESULT_DIGEST)
    await evaluations.delete_payload("tenant-a", second)

    assert kept == (SCRIPT, canonical_json(LARGE))
    assert await blobs.get("tenant-a", SCRIPT_DIGEST) is None
    assert await blobs.get("tenant-a", RESULT_DIGEST) is None


async def test_another_tenants_equal_script_stays(evaluations: Evaluations, database: Database) -> None:
    await evaluations.submit(new("b", tenant="tenant-b"), None)
    await completed(evaluations, "a")

    await evaluations.delete_payload("tenant-a", A)

    assert await Blobs(database).get("tenant-b", SCRIPT_DIGEST) == SCRIPT
    assert await Blobs(database).get("tenant-a", SCRIPT_DIGEST) is None


async def test_an_evaluation_that_is_submitted_meanwhile_keeps_its_script(
    database: Database, second_database: Database
) -> None:
    evaluations, others = Evaluations(database), Evaluations(second_database)
    await completed(evaluations, "a")

    await asyncio.gather(evaluations.delete_payload("tenant-a", A), others.submit(new("b"), None))

    assert await Blobs(database).get("tenant-a", SCRIPT_DIGEST) == SCRIPT


async def test_a_late_worker_does_not_bring_output_back(evaluations: Evaluations, journal: Journal) -> None:
    await completed(evaluations, "a")
    await evaluations.delete_payload("tenant-a", A)

    await journal.append(A, [a_line(9, run=RUN)])
    assert await evaluations.record_receipt(A, a_report(LARGE), (), USE, later(9))

    assert not CONTENT & {entry.kind for entry in await journal.read(A)}
    record = await evaluations.find(A)
    assert record is not None
    assert record.report is not None
    assert record.report.message == ""


async def test_blobs_are_by_tenant_and_content(database: Database) -> None:
    blobs = Blobs(database)

    first, again = await blobs.put("tenant-a", b"content"), await blobs.put("tenant-a", b"content")

    assert first == again
    assert (first.sha256, first.size) == (sha256(b"content").hexdigest(), 7)
    assert await blobs.get("tenant-a", first.sha256) == b"content"
    assert await blobs.get("tenant-b", first.sha256) is None
    assert await blobs.get("tenant-a", "0" * 64) is None
