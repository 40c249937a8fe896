from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace

import httpx

from api.app import create_app
from api.rate_limits import BodyRoom, RateLimits
from api.services import Services
from tests.api.conftest import EXAMPLE, JSON, ROOT, Client


async def test_a_key_gets_so_many_requests_however_parallel_they_are(client_of: Client, services: Services):
    first, second = await client_of(), await client_of()
    limited = replace(services, rate_limits=RateLimits("5/hour", "async+memory://"))
    transport = httpx.ASGITransport(create_app(limited))

    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answers = await asyncio.gather(*(client.get(ROOT, headers=first.headers) for _ in range(20)))
        other = await client.get(ROOT, headers=second.headers)

    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers].count(200) in {5, 6}
    assert {answer.json()["code"] for answer in refused} == {"too_many_requests"}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert other.status_code == 200


async def test_bodies_that_drip_in_hold_so_many_bytes_of_a_key_and_give_them_back(
    client_of: Client, services: Services
):
    first, second = await client_of(), await client_of()
    little = replace(services, body_room=BodyRoom(2 * len(EXAMPLE)))
    transport = httpx.ASGITransport(create_app(little))
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def dripping() -> AsyncIterator[bytes]:
        yield EXAMPLE[:10]
        reading.set()
        await go_on.wait()
        yield EXAMPLE[10:]

    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client, asyncio.timeout(20):

        def sent(key: httpx.AsyncClient, content: bytes | AsyncIterator[bytes]) -> Awaitable[httpx.Response]:
            headers = {**key.headers, **JSON, "Content-Length": str(2 * len(EXAMPLE))}
            return client.post(ROOT, content=content, headers=headers)

        slow = asyncio.ensure_future(sent(first, dripping()))
        await reading.wait()
        refused, other = await sent(first, EXAMPLE), await sent(second, EXAMPLE)
        stopped = await client.post(f"{ROOT}/eval_x/stop", headers=first.headers)
        go_on.set()
        answers = [await slow, await sent(first, EXAMPLE)]

    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "too_many_bytes", "1")
    assert stopped.status_code == 404
    assert [answer.status_code for answer in (other, *answers)] == [202, 202, 202]
