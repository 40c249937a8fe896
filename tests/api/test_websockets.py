from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.services import Services
from tests.api import stories
from tests.api.conftest import ROOT, listening, submitted
from tests.api.event_reading import DEADLINE, stream


async def test_the_same_comes_over_a_websocket(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    await stories.print_lines(services, evaluation_id, "one", "two")
    await client.post(f"{ROOT}/{evaluation_id}/stop")
    await stories.conclude_stop(services, evaluation_id)

    async with listening(services) as url, asyncio.timeout(DEADLINE):
        place = f"{url}{ROOT}/{evaluation_id}"
        told = await stream(f"{place}/events", client.headers)
        ws = f"ws{place.removeprefix('http')}/ws"
        headers = {"Authorization": client.headers["authorization"]}
        async with connect(ws, additional_headers=headers) as socket:
            heard = [json.loads(message) async for message in socket]
        async with connect(f"{ws}?after={heard[3]['id']}", additional_headers=headers) as socket:
            resumed = [json.loads(message) async for message in socket]

    assert [(m["id"], m["event"], m["data"]) for m in heard] == [(e.id, e.name, e.data) for e in told]
    assert resumed == heard[4:]


async def test_a_websocket_that_speaks_is_closed(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)

    async with listening(services) as url, asyncio.timeout(DEADLINE):
        ws = f"ws{url.removeprefix('http')}{ROOT}/{evaluation_id}/ws"
        async with connect(ws, additional_headers={"Authorization": client.headers["authorization"]}) as socket:
            await socket.send("hello")
            with suppress(ConnectionClosed):
                async for _ in socket:
                    pass

    assert socket.close_code == 1008


async def test_a_websocket_that_floods_with_signs_of_life_is_cut_off(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)

    async with listening(services) as url, asyncio.timeout(DEADLINE):
        ws = f"ws{url.removeprefix('http')}{ROOT}/{evaluation_id}/ws"
        async with connect(ws, additional_headers={"Authorization": client.headers["authorization"]}) as socket:
            with suppress(ConnectionClosed):
                while True:
                    await (await socket.ping(b"x" * 100))

    assert socket.close_code == 1006


@pytest.mark.parametrize(("secret", "status"), [("", 401), ("Bearer nonsense", 401)])
async def test_a_websocket_without_a_key_is_answered_with_a_problem(
    secret: str, status: int, client: httpx.AsyncClient, services: Services
):
    evaluation_id = await submitted(client)

    async with listening(services) as url:
        ws = f"ws{url.removeprefix('http')}{ROOT}/{evaluation_id}/ws"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(ws, additional_headers={"Authorization": secret}):
                pass

    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body or b"{}")["code"] == "unauthorized"


@pytest.mark.parametrize("path", ["/nowhere", "/livez", ROOT])
async def test_a_websocket_where_there_is_none_is_answered_with_a_problem(path: str, services: Services):
    async with listening(services) as url:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws{url.removeprefix('http')}{path}"):
                pass

    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body or b"{}")["code"] == "not_found"
