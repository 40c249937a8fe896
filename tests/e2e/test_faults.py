"""Whatever process dies at whatever moment: nothing is lost, nothing runs twice, nothing ends without a cause."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest

from domain.evaluation import EvaluationConfig
from domain.lifecycle import Status
from tests.e2e.faults import Client, under_way
from tests.e2e.outside import MODEL, SCRIPT, judged
from tests.e2e.stack import ROLES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


async def submitted(stack: Stack, name: str) -> str:
    return await stack.submit(SCRIPT, EvaluationConfig(timeout=60, params={"name": name}), model_id=MODEL)


async def assert_faultless(stack: Stack, ids: list[str], within: float = 180) -> dict[str, int]:
    """Fails unless all ended, each was executed once at most, and all that did not complete say why."""
    records = await stack.ended(ids, within)
    verdict = await judged(stack.database, stack.outside, records, asked=len(set(ids)))
    assert verdict.faultless, verdict
    assert await stack.buried()
    return verdict.ends


@pytest.mark.parametrize("victim", ["temporal", *ROLES])
async def test_a_killed_process_costs_at_most_the_runs_that_it_held(stack: Stack, victim: str) -> None:
    ids = [await submitted(stack, f"early-{number}") for number in range(10)]
    await under_way(stack, ids)

    await stack.kill(victim)
    await asyncio.sleep(1)
    await stack.start(victim)
    later = [await submitted(stack, f"later-{number}") for number in range(3)]

    ends = await assert_faultless(stack, ids + later)
    assert [(await stack.record(each)).status for each in later] == [Status.COMPLETED] * 3
    if victim != "execution":
        assert ends == {"completed": len(ids + later)}


async def test_a_killed_api_accepts_nothing_twice_and_loses_nothing(stack: Stack) -> None:
    await stack.start("api")
    headers = {"Authorization": f"Bearer {await stack.make_key()}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as http:
        client = Client(http, [stack.api_url])
        asking = [asyncio.create_task(client.submit(f"asked-{number}")) for number in range(20)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        await stack.kill("api")
        await stack.start("api")
        ids = list(await asyncio.gather(*asking))
        again = [await client.submit(f"asked-{number}") for number in range(20)]

    assert (again, client.odd) == (ids, [])
    assert await assert_faultless(stack, ids) == {"completed": 20}


async def test_without_temporal_nothing_is_accepted(stack: Stack) -> None:
    await stack.start("api")
    headers = {"Authorization": f"Bearer {await stack.make_key()}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as http:
        client = Client(http, [stack.api_url])
        await stack.kill("temporal")
        await asyncio.sleep(1.5)  # an answer counts for one second
        refused = await client.asked(stack.api_url, "too-early")
        await stack.start("temporal")
        accepted = await client.submit("in-time")

    assert refused is not None
    assert (refused.status_code, refused.json()["code"]) == (503, "workflows_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    assert await assert_faultless(stack, [accepted]) == {"completed": 1}


async def test_a_deploy_loses_nothing(stack: Stack) -> None:
    ids = [await submitted(stack, f"one-{number}") for number in range(10)]
    await under_way(stack, ids)

    for role in ROLES:
        stack.parts[role].signal(signal.SIGTERM)
    codes = [await stack.parts[role].left() for role in ROLES]
    assert await stack.buried()
    await stack.start(*ROLES)

    assert codes == [0] * len(ROLES)
    await assert_faultless(stack, ids)


async def test_fifty_at_once_all_end(stack: Stack) -> None:
    ids = list(await asyncio.gather(*(submitted(stack, f"one-{number}") for number in range(50))))

    assert await assert_faultless(stack, ids, within=400) == {"completed": 50}
