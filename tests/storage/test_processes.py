"""Several processes on one file, and one that is killed in the middle of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from domain.journal import EntryKind
from domain.lifecycle import Status
from storage.database import Database
from storage.evaluations import Evaluations
from storage.journal import Journal
from tests.storage.contender import APPENDS
from tests.storage.rows import A, a_line, bring

ROOT = Path(__file__).parents[2]


def contender(url: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.storage.contender", url, name],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answers(process: subprocess.Popen[str]) -> list[str]:
    told, _ = process.communicate("enough\n", timeout=60)
    assert process.returncode == 0
    return told.splitlines()


async def test_processes_wait_for_one_another_and_agree(url: str, evaluations: Evaluations, journal: Journal) -> None:
    await bring(evaluations, Status.VALIDATED)

    processes = [contender(url, name) for name in "bcd"]
    told = [answers(process) for process in processes]

    assert sorted(lines[0] for lines in told) == ["created False", "created False", "created True"]
    assert sorted(lines[1] for lines in told) == ["begun False", "begun False", "begun True"]
    assert all(lines[2] == "appended" for lines in told)
    entries = await journal.read(A, limit=10_000)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert len([entry for entry in entries if entry.kind is EntryKind.LOG]) == APPENDS * 4


async def test_what_a_killed_process_had_written_is_there_and_nothing_is_locked(url: str) -> None:
    async with Database(url) as database:
        await bring(Evaluations(database), Status.VALIDATED)

    with contender(url, "b") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        last = [process.stdout.readline() for _ in range(30)][-1]
        process.kill()

    async with Database(url) as database:
        journal = Journal(database)
        await journal.append(A, [a_line(1, run="after")])
        entries = await journal.read(A, limit=10_000)
    assert int(last.split()[1]) in {entry.frame for entry in entries if entry.run == "b"}
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
