"""The faults that a set-up has to outlive, and a client that goes on asking while they happen."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from domain.lifecycle import Status
from storage.evaluations import EvaluationRecord
from tests.e2e.outside import MODEL, SCRIPT
from tests.e2e.servers import Component, ServerStack, control
from tests.e2e.stack import ROLES, Stack

AWAY_SECONDS = 10.0
PATIENCE_SECONDS = 120.0

Fault = Callable[[ServerStack], Coroutine[Any, Any, None]]


@dataclass
class Client:
    """Submits under an Idempotency-Key, and asks again and elsewhere as long as nothing was accepted.

    `odd` holds every answer that is neither an acceptance nor a 503 with its Retry-After.
    """

    http: httpx.AsyncClient
    urls: Sequence[str]
    accepted: dict[str, str] = field(default_factory=dict[str, str])
    """Key to evaluation id."""
    refusals: int = 0
    odd: list[str] = field(default_factory=list[str])

    async def submit(self, name: str) -> str:
        """The id under which it was accepted."""
        last, turn = time.monotonic() + PATIENCE_SECONDS, 0
        while True:
            answer = await self.asked(self.urls[turn % len(self.urls)], name)
            if answer is not None and answer.status_code == 202:
                evaluation_id = answer.json()["evaluation_id"]
                if self.accepted.setdefault(name, evaluation_id) != evaluation_id:
                    self.odd.append(f"{name} was accepted twice")
                return evaluation_id
            assert time.monotonic() < last, f"{name} is not accepted: {answer and answer.text}"
            turn += 1
            await asyncio.sleep(0.5)

    async def asked(self, url: str, name: str) -> httpx.Response | None:
        """The answer of one API process. None where it went without one."""
        body: dict[str, Any] = {"model_id": MODEL, "script": SCRIPT, "config": {"params": {"name": name}}}
        try:
            answer = await self.http.post(f"{url}/api/v1/evaluations", json=body, headers={"Idempotency-Key": name})
        except httpx.TransportError:
            return None
        if answer.status_code == 503 and "Retry-After" in answer.headers:
            self.refusals += 1
        elif answer.status_code != 202:
            self.odd.append(f"{answer.status_code}: {answer.text[:300]}")
        return answer


async def under_way(stack: Stack, ids: Sequence[str]) -> None:
    """Wait until some are being executed, while others are still in review."""
    records: list[EvaluationRecord] = []
    while Status.EXECUTING not in {record.status for record in records}:
        await asyncio.sleep(0.1)
        records = [await stack.record(evaluation_id) for evaluation_id in ids]


async def _killed(role: str, stack: ServerStack) -> None:
    victim = stack.several(role)[0]
    await stack.kill(victim)
    await asyncio.sleep(1)
    await stack.start(victim)


async def _all_killed(role: str, stack: ServerStack) -> None:
    victims = stack.several(role)
    for victim in victims:
        await stack.kill(victim)
    await asyncio.sleep(1)
    await stack.start(*victims)


async def _server_killed(component: Component, _: ServerStack) -> None:
    await control("kill", component)
    await asyncio.sleep(1)
    await control("start", component)


async def _server_away(component: Component, _: ServerStack) -> None:
    await control("stop", component)
    await asyncio.sleep(AWAY_SECONDS)
    await control("start", component)


async def _deployed(stack: ServerStack) -> None:
    """Every worker is told to leave and started again, the first of each role and then the second."""
    for number in range(1, stack.each + 1):
        parts = [f"{role}-{number}" for role in ROLES]
        for name in parts:
            stack.parts[name].signal(signal.SIGTERM)
        codes = [await stack.parts[name].left() for name in parts]
        assert codes == [0] * len(parts)
        await stack.start(*parts)


FAULTS: Mapping[str, Fault] = {
    "an API process is killed": partial(_killed, "requests"),
    **{f"one of {role} is killed": partial(_killed, role) for role in ROLES},
    "both of execution are killed": partial(_all_killed, "execution"),
    "Temporal is killed": partial(_server_killed, "temporal"),
    "Postgres is killed": partial(_server_killed, "postgres"),
    "Postgres is away for 10 s": partial(_server_away, "postgres"),
    "all workers are told to leave": _deployed,
}
"""In English, for reports."""
