"""The oracle of the fault tests can tell: each of its claims fails where it should."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.evaluation import EvaluationConfig, EvaluationEnd, settle
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Status
from domain.limits import OperatorLimits
from storage.database import Database, migrate
from storage.evaluations import EvaluationRecord, Evaluations
from storage.journal import Journal
from tests.e2e.outside import MODEL, STEPS, Effect, Outside, Verdict, judged
from tests.storage.rows import ORIGIN, RUN, USE, A, a_report, later, new, to


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path / 'airlock.db'}"
    migrate(url)
    async with Database(url) as opened:
        yield opened


async def executed(database: Database) -> EvaluationRecord:
    """An evaluation of the model that is seen from outside, which has completed."""
    evaluations, asked = Evaluations(database), new()
    config = settle(EvaluationConfig(params={"name": "one"}), OperatorLimits())
    evaluation = asked.evaluation.model_copy(update={"model_id": MODEL, "config": config})
    await evaluations.submit(asked.model_copy(update={"evaluation": evaluation}), None)
    for status in (Status.PENDING_VALIDATION, Status.VALIDATED):
        await evaluations.advance(to(status))
    await evaluations.begin_execution(A, RUN, "worker", later(2))
    await evaluations.record_receipt(A, a_report("one"), (), USE, later(3))
    return await evaluations.conclude(EvaluationEnd(evaluation_id=A, status=Status.COMPLETED), later(4))


def seen(*runs: str, steps: int = STEPS) -> Outside:
    outside = Outside()
    outside.server.server_close()
    outside.effects = [Effect("one", run, str(step)) for run in runs for step in range(steps)]
    return outside


async def verdict_on(database: Database, outside: Outside, asked: int = 1) -> Verdict:
    return await judged(database, outside, [await Evaluations(database).find(A)], asked)


async def test_what_went_well_is_faultless(database: Database) -> None:
    await executed(database)

    verdict = await verdict_on(database, seen("run"))

    assert verdict.faultless, verdict
    assert verdict.ends == {"completed": 1}


async def test_two_runs_are_twice(database: Database) -> None:
    await executed(database)

    assert (await verdict_on(database, seen("run", "another"))).twice


async def test_two_beginnings_are_twice_even_where_nobody_saw_them(database: Database) -> None:
    await executed(database)
    began = [NewEntry(at=later(5), kind=EntryKind.STAGE, run=RUN, frame=n, payload={"state": "began"}) for n in (1, 2)]
    await Journal(database).append(A, began)

    assert (await verdict_on(database, seen("run"))).twice


async def test_a_completion_that_nobody_saw_is_untrue(database: Database) -> None:
    await executed(database)

    assert (await verdict_on(database, seen("run", steps=STEPS - 1))).untrue == (A,)


async def test_a_row_too_few_is_lost(database: Database) -> None:
    await executed(database)

    assert (await verdict_on(database, seen("run"), asked=2)).lost


@pytest.mark.parametrize("code", ["platform_error", "exception"])
async def test_an_end_that_no_dead_part_explains_is_mute(database: Database, code: str) -> None:
    evaluations = Evaluations(database)
    await evaluations.submit(new(), None)
    assert (await verdict_on(database, seen())).stuck

    cause = ORIGIN.model_copy(update={"code": code})
    await evaluations.conclude(EvaluationEnd(evaluation_id=A, status=Status.ERROR, cause=cause), later(4))

    assert (await verdict_on(database, seen())).mute
