"""The function on a real database and real parser children; only the workflows are a fake."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from api.serverless.instance import Instance
from api.serverless.settings import ServerlessSettings
from api.serverless.wiring import ChecksHere, Parts
from api.settings import ApiSettings
from api.submitting import Marks
from api.wiring import serving
from domain.environments import Environment
from storage.connections import Connections
from storage.database import Database
from storage.keys import ApiKeys, Scope
from tests.api.fake_workflows import FakeWorkflows

EVENTS = Path(__file__).parent / "events"
Made = dict[str, Any]


class OnAFile(ServerlessSettings):
    """As settings of a function, but a file will do for a test."""

    def _nothing_is_kept_in_a_function(self) -> OnAFile:  # type: ignore[override]
        return self


class FakeGateway(FakeWorkflows):
    """Workflows that count how often their connection was made anew."""

    renewed = 0

    def renew(self) -> None:
        self.renewed += 1


class Time:
    """What Lambda tells of an invocation."""

    def __init__(self, milliseconds: int = 29_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def an_event(name: str) -> Made:
    return json.loads((EVENTS / f"{name}.json").read_text())


def a_request(method: str, path: str, body: object = None, query: str = "", **headers: str) -> Made:
    """An HTTP request as API Gateway tells of it."""
    event = an_event("http_get" if body is None else "http_post")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    event["rawQueryString"] = query
    event["headers"] |= headers
    if body is not None:
        words = body if isinstance(body, bytes) else json.dumps(body).encode()
        event["body"] = base64.b64encode(words).decode()
        event["headers"]["content-length"] = str(len(words))
    return event


def words_of(answer: Made) -> Any:
    """What an answer says."""
    body = answer["body"]
    return json.loads(base64.b64decode(body) if answer.get("isBase64Encoded") else body)


@pytest.fixture
def settings(settings: ApiSettings) -> ServerlessSettings:
    values = settings.model_dump() | {"websocket_url": "wss://status.example/live", "longest_wait_seconds": 0.5}
    return OnAFile.model_validate(values)


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def instance(
    settings: ServerlessSettings, environments: dict[str, Environment], gateway: FakeGateway
) -> Iterator[Instance]:
    @asynccontextmanager
    async def opened(settings: ServerlessSettings, _traces: object) -> AsyncGenerator[Parts]:
        async with (
            Database(settings.database_url) as database,
            ChecksHere(environments) as checker,
            serving(settings, database, gateway, checker, environments, Marks.AT_ONCE) as services,
        ):
            yield Parts(services, Connections(database), gateway)  # type: ignore[arg-type]

    made = Instance(settings, opened)
    yield made
    made.close()


@pytest.fixture
def key_of(settings: ServerlessSettings) -> Callable[..., str]:
    """Makes a key of a tenant; its Authorization header."""

    def made(tenant: str = "tenant-a", scopes: frozenset[Scope] = frozenset(Scope)) -> str:
        async def make() -> str:
            async with Database(settings.database_url) as database:
                return (await ApiKeys(database).create(tenant, "test", scopes, None)).secret

        return f"Bearer {asyncio.run(make())}"

    return made


__all__ = ["FakeGateway", "Time", "a_request", "an_event", "words_of"]
