"""Whatever of a team's set-up dies while evaluations are under way: none is lost, executed twice, stuck or mute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Connection, func, select

from storage.tables import evaluations
from tests.e2e.faults import FAULTS, Client, under_way
from tests.e2e.outside import judged
from tests.e2e.servers import ServerStack, a_server_stack, control

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.roles,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]
BEFORE, AFTER = 16, 4
"""Evaluations; bench/faults.py does the same with two hundred."""
API = ("requests-1", "requests-2")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncGenerator[ServerStack]:
    async with a_server_stack() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def client(servers: ServerStack) -> AsyncGenerator[Client]:
    headers = {"Authorization": f"Bearer {await servers.make_key()}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:
        yield Client(http, [servers.address_of(name) for name in API])


async def rows(servers: ServerStack) -> int:
    def counted(connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(evaluations)).scalar_one()

    return await servers.database.read(counted)


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost_repeated_stuck_or_mute(servers: ServerStack, client: Client, fault: str) -> None:
    before = await rows(servers)
    name = fault.replace(" ", "-")
    ids = await asyncio.gather(*(client.submit(f"{name}-{number}") for number in range(BEFORE)))
    await under_way(servers, ids)

    striking = asyncio.create_task(FAULTS[fault](servers))
    ids += await asyncio.gather(*(client.submit(f"{name}-later-{number}") for number in range(AFTER)))
    await striking

    records = await servers.ended(ids, within=240)
    verdict = await judged(servers.database, servers.outside, records, asked=before + BEFORE + AFTER)
    assert verdict.faultless, verdict
    assert client.odd == []
    assert await servers.buried()


async def test_what_cannot_be_kept_is_not_accepted(servers: ServerStack, client: Client) -> None:
    before = await rows(servers)
    await control("stop", "postgres")
    try:
        answers = [await client.asked(url, "too-early") for url in client.urls]
    finally:
        await control("start", "postgres")

    assert [answer.status_code for answer in answers if answer] == [503, 503]
    assert all(answer.headers["Retry-After"] for answer in answers if answer)
    assert await rows(servers) == before
    assert await client.submit("too-early")
