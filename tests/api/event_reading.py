"""Events as a client reads them from a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

DEADLINE = 20
"""Seconds that a broken stream may hang a test."""


@dataclass
class Event:
    id: str
    name: str
    data: dict[str, Any]


async def told(lines: AsyncIterator[str]) -> AsyncGenerator[Event]:
    fields: dict[str, str] = {}
    async for line in lines:
        if not line and "data" in fields:
            yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


async def stream(url: str, headers: httpx.Headers, after: str = "", stop_after: int = 10_000) -> list[Event]:
    """The events of one connection, until it ends or so many have come."""
    events: list[Event] = []
    resume = {"Last-Event-ID": after} if after else {}
    async with (
        asyncio.timeout(DEADLINE),
        httpx.AsyncClient(headers=headers, timeout=DEADLINE) as client,
        client.stream("GET", url, headers=resume) as response,
    ):
        if response.status_code == 204:
            return []
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "no-store" in response.headers["cache-control"]
        async with aclosing(told(response.aiter_lines())) as coming:
            async for event in coming:
                events.append(event)
                if len(events) >= stop_after:
                    break
    return events


def texts(events: list[Event]) -> list[str]:
    return [event.data["payload"]["text"] for event in events if event.name == "log"]
