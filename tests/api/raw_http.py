"""HTTP as no library would send it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

DEADLINE = 20
"""Seconds that an answer which never comes may hang a test."""


class RawAnswer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json", self
        return json.loads(self.body)


async def answer_to(url: str, *pieces: bytes, then: AsyncIterable[bytes] | None = None) -> RawAnswer | None:
    """What comes back to these bytes; None where the connection is closed without a word."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        async with asyncio.timeout(DEADLINE):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            sending = asyncio.ensure_future(_send(writer, then))
            try:
                return await _answer(reader)
            finally:
                sending.cancel()
    finally:
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, pieces: AsyncIterable[bytes] | None) -> None:
    if pieces is not None:
        async for piece in pieces:
            writer.write(piece)
            await writer.drain()


async def _answer(reader: asyncio.StreamReader) -> RawAnswer | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return RawAnswer(int(first.split()[1]), headers, body)
