"""Whatever process dies at whatever moment: nothing is lost, nothing runs twice, nothing ends without a cause."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, func, select

from domain.lifecycle import Status
from storage.evaluations import EvaluationRecord
from storage.tables import executions
from tests.e2e.stack import ROLES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
BUSY = """import time


def evaluate_model(model):
    for _ in range(4):
        model.generate("1 + 1")
        time.sleep(0.25)
    return 1
"""
PLATFORM = {"worker_lost", "runner_lost", "no_worker", "workflow_lost", "platform_error"}
"""What an evaluation may end with where a part died under it."""


@pytest.mark.parametrize("victim", ["temporal", *ROLES])
async def test_a_killed_process_costs_at_most_the_runs_that_it_held(stack: Stack, victim: str) -> None:
    ids = [await stack.submit(BUSY) for _ in range(10)]
    await under_way(stack, ids)

    await stack.kill(victim)
    await asyncio.sleep(1)
    await stack.start(victim)
    ids += [await stack.submit(BUSY) for _ in range(3)]

    records = await stack.ended(ids)
    assert explained(records)
    assert [record.status for record in records[-3:]] == [Status.COMPLETED] * 3
    if victim != "execution":
        assert {record.status for record in records} == {Status.COMPLETED}
    assert await begun_at_most_once(stack, ids)
    assert await stack.buried()


async def test_a_deploy_loses_nothing(stack: Stack) -> None:
    ids = [await stack.submit(BUSY) for _ in range(10)]
    await under_way(stack, ids)

    for role in ROLES:
        stack.parts[role].signal(signal.SIGTERM)
    codes = [await stack.parts[role].left() for role in ROLES]
    assert await stack.buried()
    await stack.start(*ROLES)

    records = await stack.ended(ids)
    assert codes == [0] * len(ROLES)
    assert explained(records)
    assert await begun_at_most_once(stack, ids)


async def test_fifty_at_once_all_end(stack: Stack) -> None:
    ids = list(await asyncio.gather(*(stack.submit(BUSY) for _ in range(50))))

    records = await stack.ended(ids, within=400)

    assert {record.status for record in records} == {Status.COMPLETED}
    assert await begun_at_most_once(stack, ids)
    assert await stack.buried()


async def under_way(stack: Stack, ids: Sequence[str]) -> None:
    """Wait until some are being executed, while others are still in review."""
    statuses: list[Status] = []
    while Status.EXECUTING not in statuses:
        await asyncio.sleep(0.05)
        statuses = [(await stack.record(evaluation_id)).status for evaluation_id in ids]


def explained(records: Sequence[EvaluationRecord]) -> bool:
    """Whether each has completed, or ended by our failure with a cause that says so."""
    odd = [
        (record.evaluation_id, record.status, record.cause)
        for record in records
        if record.status is not Status.COMPLETED
        and not (record.status is Status.ERROR and record.cause and record.cause.code in PLATFORM)
    ]
    assert odd == []
    return True


async def begun_at_most_once(stack: Stack, ids: Sequence[str]) -> bool:
    """Whether the journal tells of one beginning of each execution at most."""

    def begun(connection: Connection) -> int:
        query = select(func.count()).select_from(executions).where(executions.c.evaluation_id.in_(ids))
        return connection.execute(query).scalar_one()

    for evaluation_id in ids:
        entries = await stack.journal.read(evaluation_id)
        own = [each for each in entries if each.run.endswith("-execution") and each.payload.get("state") == "began"]
        assert len(own) <= 1
    assert await stack.database.read(begun) <= len(ids)
    return True
