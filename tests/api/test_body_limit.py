"""Bodies that are too large or too slow, over a real socket."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import httpx
import pytest

from api.services import Services
from domain.limits import MAX_REQUEST_BYTES
from tests.api.conftest import EXAMPLE, ROOT, listening
from tests.api.raw_http import answer_to

PIECE = 65_536
TEN_MEGABYTES = 10_000_000


def head(client: httpx.AsyncClient, *lines: str) -> bytes:
    key = f"Authorization: {client.headers['authorization']}"
    return "\r\n".join(
        [f"POST {ROOT} HTTP/1.1", "Host: x", key, "Content-Type: application/json", *lines, "", ""]
    ).encode()


async def too_much() -> AsyncIterator[bytes]:
    """A little more than there may be; and then nothing, although more was announced."""
    for _ in range(MAX_REQUEST_BYTES // PIECE + 1):
        yield b"%x\r\n" % PIECE + b"a" * PIECE + b"\r\n"


async def test_a_body_without_a_length_is_refused_at_the_first_byte_too_many(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("api.body_limit.LINGER_SECONDS", 0.2)

    async with listening(services) as url:
        answer = await answer_to(url, head(client, "Transfer-Encoding: chunked"), then=too_much())

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (413, "too_large")


async def test_a_declared_length_is_refused_before_the_first_byte(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("api.body_limit.LINGER_SECONDS", 0.2)

    async with listening(services) as url:
        answer = await answer_to(url, head(client, f"Content-Length: {TEN_MEGABYTES}"))

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (413, "too_large")


async def test_who_sends_everything_before_reading_gets_the_answer_too(client: httpx.AsyncClient, services: Services):
    """The standard library does: with the connection closed on it, all it would see is a reset."""
    headers = {"Authorization": client.headers["authorization"], "Content-Type": "application/json"}

    def post(url: str) -> int:
        try:
            urllib.request.urlopen(urllib.request.Request(url + ROOT, b"a" * TEN_MEGABYTES, headers), timeout=20)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        return 0

    async with listening(services) as url:
        statuses = [await asyncio.to_thread(post, url) for _ in range(3)]

    assert statuses == [413] * 3


async def dripping() -> AsyncIterator[bytes]:
    for place in range(len(EXAMPLE)):
        yield EXAMPLE[place : place + 1]
        await asyncio.sleep(0.05)


async def test_a_body_that_drips_in_is_given_up(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("api.body_limit.BODY_SECONDS", 0.3)

    async with listening(services) as url:
        answer = await answer_to(url, head(client, f"Content-Length: {len(EXAMPLE)}"), then=dripping())

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (408, "too_slow")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("key", ["", "Bearer airlock_nonsense"])
async def test_the_body_of_somebody_without_a_key_is_not_read(key: str, services: Services):
    asked = f"POST {ROOT} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: {MAX_REQUEST_BYTES}\r\n\r\n"

    async with listening(services) as url:
        answer = await answer_to(url, asked.encode())

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (401, "unauthorized")
