"""Requests are counted by route, method and status, streams as long as they are open, and no text of a client is."""

from __future__ import annotations

import asyncio

import httpx

from api.app import create_app
from api.services import Services
from tests.api.conftest import ROOT, submitted
from tests.figures import Figures


async def asked(services: Services, *requests: tuple[str, str]) -> Figures:
    figures = Figures()
    transport = httpx.ASGITransport(create_app(services, instruments=figures))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        for method, path in requests:
            await client.request(method, path)
    return figures


async def test_a_request_counts_by_the_pattern_of_its_route(services: Services) -> None:
    figures = await asked(services, ("GET", "/livez"), ("GET", f"{ROOT}/eval_{'a' * 26}/status"))

    assert figures.counted == {
        ("airlock_http_requests", "GET", "/livez", "200"): 1,
        ("airlock_http_requests", "GET", f"{ROOT}/{{evaluation_id}}/status", "401"): 1,
    }
    assert set(figures.observed) == {("airlock_http_request_seconds", *key[1:3]) for key in figures.counted}


async def test_paths_and_methods_of_a_client_s_own_make_one_series(services: Services) -> None:
    requests = [(f"M{number}", f"/wp-admin/{number}") for number in range(20)]

    figures = await asked(services, *requests)

    assert list(figures.counted) == [("airlock_http_requests", "other", "unknown", "404")]


async def test_a_stream_is_counted_while_it_is_open(services: Services, client: httpx.AsyncClient) -> None:
    figures = Figures()
    app, sent = create_app(services, instruments=figures), list[str]()
    evaluation_id = await submitted(client)
    begun, leave = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, object]:
        if not sent:
            sent.append("request")
            return {"type": "http.request", "body": b"", "more_body": False}
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        begun.set()

    headers = [(b"authorization", client.headers["authorization"].encode())]
    path = f"{ROOT}/{evaluation_id}/events"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": headers}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "server": ("api", 80), "root_path": ""}
    streaming = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait_for(begun.wait(), 20)

    during = dict(figures.gauges)
    leave.set()
    await asyncio.wait_for(streaming, 20)

    assert during == {("airlock_http_streams_open", "sse"): 1}
    assert figures.gauges == {("airlock_http_streams_open", "sse"): 0}
    assert figures.counted == {("airlock_http_requests", "GET", f"{ROOT}/{{evaluation_id}}/events", "200"): 1}
    assert figures.observed == {}
