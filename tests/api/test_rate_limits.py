from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx

from api.app import create_app
from api.rate_limits import RateLimits
from api.services import Services
from tests.api.conftest import ROOT, Client


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
