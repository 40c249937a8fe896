"""A kubeconfig that leads nowhere is refused in one sentence, whatever is wrong with it. Needs no cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import sandbox.kubernetes.cluster as cluster_module
from sandbox.kubernetes.access import missing_to_run
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.cluster_errors import ClusterAway, ClusterError, Refused

Change = Callable[[dict[str, Any]], object]


def config(server: str = "https://127.0.0.1:1") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "WRITE_PAUSES", ())


async def asked(content: bytes | dict[str, Any] | None, directory: Path) -> ClusterError:
    """What comes of a first question with it."""
    file = directory / "kubeconfig"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ClusterError) as refused:
        async with Cluster.connect(file) as cluster:
            await missing_to_run(cluster, "airlock-trials")
    assert "\n" not in refused.value.words
    return refused.value


NONE = [b"", b"null", b"[1, 2]", b"hello", b"a: [b", b"\tx: 1", b"\xff\xfe\x00\x01", b'a: "\x00"']


@pytest.mark.parametrize("content", NONE)
async def test_a_file_that_is_no_kubeconfig(content: bytes, tmp_path: Path) -> None:
    refused = await asked(content, tmp_path)

    assert isinstance(refused, Refused)
    assert "is no kubeconfig" in refused.words


async def test_no_file_and_a_directory(tmp_path: Path) -> None:
    assert "there is no such file" in (await asked(None, tmp_path)).words
    (tmp_path / "kubeconfig").mkdir()

    assert "there is no such file" in (await asked(None, tmp_path)).words


INCOMPLETE: dict[str, tuple[Change, str]] = {
    "no context is chosen": (lambda c: c.pop("current-context"), "current-context"),
    "the chosen context": (lambda c: c.update({"current-context": "absent"}), "absent"),
    "the cluster": (lambda c: c.update(clusters=[]), "clusters list"),
    "the users": (lambda c: c.update(users=None), "is no kubeconfig"),
    "no server": (lambda c: c["clusters"][0]["cluster"].pop("server"), "address"),
    "a server that is no address": (lambda c: c["clusters"][0]["cluster"].update(server="not one"), "address"),
    "another scheme": (lambda c: c["clusters"][0]["cluster"].update(server="ftp://x"), "address"),
    "a token's file": (lambda c: c["users"][0].update(user={"tokenFile": "/absent"}), "/absent"),
    "an authority's file": (
        lambda c: c["clusters"][0]["cluster"].update({"certificate-authority": "/absent"}),
        "/absent",
    ),
    "an authority that is none": (
        lambda c: c["clusters"][0]["cluster"].update({"certificate-authority-data": "anVuaw=="}),
        "certificates",
    ),
    "a certificate that is none": (
        lambda c: c["users"][0].update(user={"client-certificate-data": "eA==", "client-key-data": "eA=="}),
        "certificates",
    ),
}


@pytest.mark.parametrize("case", INCOMPLETE)
async def test_a_kubeconfig_with_something_missing(case: str, tmp_path: Path) -> None:
    change, word = INCOMPLETE[case]
    given = config()
    change(given)

    refused = await asked(given, tmp_path)

    assert isinstance(refused, Refused)
    assert word in refused.words


@pytest.mark.parametrize("server", ["https://127.0.0.1:1", "https://absent.invalid"])
async def test_a_server_that_does_not_answer(server: str, tmp_path: Path) -> None:
    assert isinstance(await asked(config(server), tmp_path), ClusterAway)


@pytest.mark.parametrize(("status", "word"), [(401, "does not know this user"), (403, "no"), (404, "no")])
async def test_a_server_that_refuses(status: int, word: str, tmp_path: Path) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"message": "no"}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        refused = await asked(config(f"http://127.0.0.1:{runner.addresses[0][1]}"), tmp_path)
    finally:
        await runner.cleanup()

    assert word in refused.words


class Door:
    """A server that knows one token, and what it was asked with."""

    def __init__(self) -> None:
        self.token = "first"
        self.refused = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            self.refused += 1
            return web.json_response({"message": "Unauthorized"}, status=401)
        return web.json_response({"gitVersion": "v1", "metadata": {"name": "p", "uid": "u"}})


@pytest.fixture
async def door() -> AsyncIterator[tuple[Door, str]]:
    """The server and its address."""
    door, app = Door(), web.Application()
    app.router.add_route("*", "/{path:.*}", door.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield door, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("kind", ["token", "tokenFile"])
async def test_a_token_that_is_replaced_is_used_without_a_restart(
    kind: str, door: tuple[Door, str], tmp_path: Path
) -> None:
    """By all who ask at that moment, of whom one reads it again."""
    server, url = door
    kubeconfig, token = tmp_path / "kubeconfig", tmp_path / "token"

    def write(word: str) -> None:
        server.token = word
        token.write_text(word)
        user = {"token": word} if kind == "token" else {"tokenFile": str(token)}
        kubeconfig.write_text(json.dumps(config(url) | {"users": [{"name": "u", "user": user}]}))

    write("first")
    async with Cluster.connect(kubeconfig) as cluster:
        before = await cluster.version()
        write("second")
        after = await asyncio.gather(*(cluster.version() for _ in range(8)))

    assert (before, after) == ("v1", ["v1"] * 8)
    assert server.refused > 0


async def test_a_token_that_is_refused_and_not_replaced_is_read_again_now_and_then(
    door: tuple[Door, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, url = door
    (tmp_path / "kubeconfig").write_text(json.dumps(config(url)))
    read = 0
    load: Callable[..., Any] = getattr(cluster_module, "load_kube_config")  # noqa: B009 - the library leaves its type open

    async def counted(*words: Any, **how: Any) -> None:
        nonlocal read
        read += 1
        await load(*words, **how)

    monkeypatch.setattr(cluster_module, "load_kube_config", counted)
    async with Cluster.connect(tmp_path / "kubeconfig") as cluster:
        for _ in range(5):
            with pytest.raises(Refused, match="does not know this user"):
                await cluster.version()

    assert (read, server.refused) == (2, 5)


async def test_a_kubeconfig_that_is_being_written_when_it_is_read_again_is_read_once_more_later(
    door: tuple[Door, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "RENEWED_EVERY", 0.0)
    (server, url), file = door, tmp_path / "kubeconfig"
    file.write_text(json.dumps(config(url)))
    async with Cluster.connect(file) as cluster:
        file.write_text("")
        with pytest.raises(Refused, match="does not know this user"):
            await cluster.version()
        server.token = "second"
        file.write_text(json.dumps(config(url) | {"users": [{"name": "u", "user": {"token": "second"}}]}))
        version = await cluster.version()

    assert version == "v1"


@pytest.mark.parametrize("body", [b"<html>a proxy's page</html>", b"[]", b"{}", b'{"status": null}', b""])
async def test_a_server_that_is_no_kubernetes(body: bytes, tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await asked(config(f"http://127.0.0.1:{runner.addresses[0][1]}"), tmp_path)
    finally:
        await runner.cleanup()
