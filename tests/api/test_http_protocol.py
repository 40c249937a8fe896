"""The server on the wire: what is no HTTP, and what never gets to be any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from api.http_protocol import MAX_HEADER_BYTES
from api.services import Services
from tests.api.conftest import EXAMPLE, ROOT, listening, submitted
from tests.api.raw_http import answer_to

NOISE = {
    "bytes": b"\x00\x01garbage\r\n\r\n",
    "the hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500 + b"\r\n\r\n",
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a negative length": b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "a length beyond all": b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "a coding that nobody knows": b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "a bad chunk": b"POST /api/v1/evaluations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
}


@pytest.mark.parametrize("name", NOISE)
async def test_noise_gets_a_problem_and_the_next_request_is_served(
    name: str, client: httpx.AsyncClient, services: Services
):
    async with listening(services) as url:
        answer = await answer_to(url, NOISE[name])
        async with httpx.AsyncClient(headers=client.headers) as other:
            next_one = await other.get(f"{url}{ROOT}")

    assert answer is not None
    assert (answer.status, answer.problem["status"]) == (400, 400)
    assert answer.problem["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert next_one.status_code == 200


@pytest.mark.parametrize("line", [b"X: aaaaaaaaaaaaaaaa\r\n", b"a"], ids=["many", "a long one"])
async def test_headers_without_end_are_refused_as_too_large(line: bytes, services: Services):
    async with listening(services) as url:
        answer = await answer_to(url, b"GET /livez HTTP/1.1\r\nX: " + line * (MAX_HEADER_BYTES + 1))

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (431, "headers_too_large")


async def dripping(text: bytes) -> AsyncIterator[bytes]:
    for place in range(len(text)):
        yield text[place : place + 1]
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("first", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_connection_that_never_gets_to_a_request_is_closed(
    first: bytes, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("api.http_protocol.REQUEST_SECONDS", 0.3)
    forever = b"GET /livez HTTP/1.1\r\nX: " + b"a" * 1000

    async with listening(services) as url:
        if first:
            assert (await answer_to(url, first)) is not None
        answer = await answer_to(url, then=dripping(forever))

    assert answer is None


async def test_a_request_may_take_longer_than_its_headers(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("api.http_protocol.REQUEST_SECONDS", 0.3)
    evaluation_id = await submitted(client)

    async with listening(services) as url, httpx.AsyncClient(headers=client.headers, timeout=20) as other:
        answer = await other.post(f"{url}{ROOT}/{evaluation_id}/stop?wait=1")

    assert answer.status_code == 202


async def test_noise_in_the_middle_of_a_stream_ends_it(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    asked = f"GET {ROOT}/{evaluation_id}/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    asked += f"Authorization: {client.headers['authorization']}\r\n\r\n"

    async with listening(services) as url, asyncio.timeout(20):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(asked.encode())
        await reader.readuntil(b"event: status")
        writer.write(b"no chunk\r\n")
        await reader.read()
        writer.close()
        async with httpx.AsyncClient() as other:
            assert (await other.get(f"{url}/livez")).status_code == 200


@pytest.mark.parametrize(
    "more",
    ["Content-Type: text/plain", "Idempotency-Key: b", "Authorization: Bearer other", "Transfer-Encoding: chunked"],
)
async def test_a_request_that_two_readers_read_in_two_ways_is_refused(
    more: str, client: httpx.AsyncClient, services: Services
):
    lines = [f"Authorization: {client.headers['authorization']}", "Content-Type: application/json", more]
    lines += ["Idempotency-Key: a", f"Content-Length: {len(EXAMPLE)}", "Host: x"]
    head = "\r\n".join([f"POST {ROOT} HTTP/1.1", *lines, "", ""]).encode()

    async with listening(services) as url:
        answer = await answer_to(url, head + EXAMPLE)

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (400, "ambiguous_headers")


@pytest.mark.parametrize("query", ["limit=1&limit=2", "status=&%73tatus=failed", "wait=1&x=&x="])
async def test_a_parameter_that_stands_there_twice_is_refused(query: str, client: httpx.AsyncClient):
    answer = await client.get(f"{ROOT}?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "ambiguous_query")


async def test_a_handshake_with_a_parameter_twice_is_refused(services: Services):
    async with listening(services) as url:
        answer = await answer_to(url, handshake("GET", "").replace(b"/ws ", b"/ws?after=a&after=b "))

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (400, "ambiguous_query")


@pytest.mark.parametrize(("version", "key"), [("99", "AAAAAAAAAAAAAAAAAAAAAA=="), ("13", "zz"), ("13", "\xff" * 24)])
async def test_a_handshake_that_is_none_is_a_problem(version: str, key: str, services: Services):
    lines = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Version: {version}"]
    lines += [f"Sec-WebSocket-Key: {key}", "Host: x"]
    head = "\r\n".join([f"GET {ROOT}/eval_x/ws HTTP/1.1", *lines, "", ""]).encode("latin-1")

    async with listening(services) as url:
        answer = await answer_to(url, head)

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (400, "invalid_http")


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("POST", ""),
        ("GET", "Content-Length: 5"),
        ("GET", "Transfer-Encoding: chunked"),
        ("GET", "X: " + "a" * 9000),
        ("GET", "\r\n".join(["X: a"] * 300)),
    ],
    ids=["another method", "a body", "a body in chunks", "a long line", "many headers"],
)
async def test_a_handshake_that_the_library_does_not_answer_is_a_problem(method: str, more: str, services: Services):
    async with listening(services) as url:
        answer = await answer_to(url, handshake(method, more))

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (400, "invalid_http")


@pytest.mark.parametrize("name", ["Extensions", "Protocol"])
async def test_what_a_handshake_offers_besides_is_not_read(name: str, services: Services):
    async with listening(services) as url:
        answer = await answer_to(url, handshake("GET", f'Sec-WebSocket-{name}: ;;;"'))

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (401, "unauthorized")


async def test_a_handshake_with_two_keys_is_refused(services: Services):
    async with listening(services) as url:
        answer = await answer_to(url, handshake("GET", "Authorization: Bearer a\r\nAuthorization: Bearer b"))

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (400, "ambiguous_headers")


def handshake(method: str, more: str) -> bytes:
    lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Host: x"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *([more] if more else [])]
    return "\r\n".join([f"{method} {ROOT}/eval_x/ws HTTP/1.1", *lines, "", ""]).encode()
