"""A server that is slow, busy or talkative, as the client meets it. Needs no cluster."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

import sandbox.kubernetes.cluster as cluster_module
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.cluster_errors import LONGEST_WAIT, ClusterAway, error_of, seconds_of
from tests.sandbox.kubernetes.test_kubeconfig import config

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answered_by(answer: Answer, directory: Path) -> AsyncGenerator[Cluster]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = directory / "kubeconfig"
    file.write_text(json.dumps(config(f"http://127.0.0.1:{runner.addresses[0][1]}")))
    try:
        async with Cluster.connect(file) as cluster:
            yield cluster
    finally:
        await runner.cleanup()


async def test_a_pod_as_large_as_a_cluster_takes_blinds_no_watch(tmp_path: Path) -> None:
    """Whoever may annotate a pod may make it 256 KiB larger, and etcd keeps up to 1.5 MiB."""
    event = {"type": "MODIFIED", "object": {"metadata": {"annotations": {"a": "x" * (3 << 19)}}}}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=f"{json.dumps(event)}\n" * 2)

    async with answered_by(answer, tmp_path) as cluster:
        events = [each async for each in cluster.watch("/api/v1/pods", {})]

    assert events == [event, event]


async def test_a_watch_that_is_cut_within_an_event_says_so_after_those_before(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text='{"type": "ADDED"}\n{"type": "MODI')

    async with answered_by(answer, tmp_path) as cluster:
        events = cluster.watch("/api/v1/pods", {})
        first = await anext(events)
        with pytest.raises(ClusterAway):
            await anext(events)

    assert first == {"type": "ADDED"}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_busy_server_is_asked_again_when_it_wants(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def answer(_: web.Request) -> web.StreamResponse:
        if len(pauses) < 2:
            asked = {"Retry-After": "7"} if not pauses else {}
            return web.json_response({"message": "busy"}, status=status, headers=asked)
        return web.json_response({"metadata": {"name": "a"}})

    async with answered_by(answer, tmp_path) as cluster:
        monkeypatch.setattr(cluster_module.asyncio, "sleep", pause)
        made = await cluster.create_pod("executions", {})
        monkeypatch.undo()

    assert made["metadata"]["name"] == "a"
    assert pauses == [7.0, cluster_module.WRITE_PAUSES[1]]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("", 0), ("1", 1), ("3600", LONGEST_WAIT), ("-1", 0), ("Fri, 27 Nov 2026 11:00:00 GMT", 0), ("nan", 0)],
)
def test_nobody_waits_for_longer_than_is_sensible(header: str | None, seconds: float) -> None:
    assert seconds_of(header) == seconds


def test_an_error_asks_for_no_wait_by_itself() -> None:
    assert error_of(429, "busy").retry_after == 0
