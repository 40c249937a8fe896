"""The API on a real database and real parser children; only the workflows are a fake."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.server import Server
from api.services import Services
from api.settings import ApiSettings
from api.wiring import parser_pool, serving
from domain.environments import Environment
from storage.database import Database, migrate
from storage.keys import ApiKeys, Scope
from tests.api.fake_workflows import FakeWorkflows
from tests.storage.conftest import a_schema

EVERYTHING = frozenset(Scope)
ROOT = "/api/v1/evaluations"
JSON = {"Content-Type": "application/json"}
EXAMPLE = b'{"model_id": "gpt-4", "script": "def evaluate_model(model): ...", "config": {"timeout": 300}}'
"""The first example of the design, byte for byte."""

Client = Callable[..., Coroutine[Any, Any, httpx.AsyncClient]]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "airlock.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def settings(migrated: Path, tmp_path: Path) -> ApiSettings:
    url = f"sqlite:///{shutil.copy(migrated, tmp_path / 'airlock.db')}"
    # honest answers take milliseconds; on a busy machine they must not be left to the stage
    values = {"database_url": url, "check_seconds": 2, "heartbeat_seconds": 0.2, "rate_limit": "10000/minute"}
    return ApiSettings.model_validate(values)


SLOWLY_ON_POSTGRES = ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])]
"""Parameters of a module whose `settings` are `on(...)` one of them."""


@contextmanager
def on(database: str, settings: ApiSettings) -> Generator[ApiSettings]:
    """The same settings on another kind of database."""
    if database == "sqlite":
        yield settings
        return
    with a_schema() as url:
        migrate(url)
        yield ApiSettings.model_validate(settings.model_dump() | {"database_url": url})


@pytest.fixture
def environments() -> dict[str, Environment]:
    standard = tuple(sorted(sys.stdlib_module_names))
    return {
        "default": Environment(name="default", python=sys.executable, modules=standard, digest="d" * 64),
        "science": Environment(name="science", python=sys.executable, modules=(*standard, "numpy"), digest="5" * 64),
    }


@pytest.fixture
def workflows() -> FakeWorkflows:
    return FakeWorkflows()


@pytest.fixture
async def services(
    settings: ApiSettings, environments: dict[str, Environment], workflows: FakeWorkflows
) -> AsyncIterator[Services]:
    async with (
        Database(settings.database_url) as database,
        parser_pool(environments) as checker,
        serving(settings, database, workflows, checker, environments) as opened,
    ):
        yield opened


@pytest.fixture
async def client_of(services: Services) -> AsyncIterator[Client]:
    """Makes a client with a key of a tenant."""
    transport = httpx.ASGITransport(create_app(services))
    async with AsyncExitStack() as stack:

        async def made(
            tenant: str = "tenant-a", scopes: frozenset[Scope] = EVERYTHING, models: frozenset[str] | None = None
        ) -> httpx.AsyncClient:
            key = await ApiKeys(services.database).create(tenant, "test", scopes, models)
            headers = {"Authorization": f"Bearer {key.secret}"}
            client = httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)
            return await stack.enter_async_context(client)

        yield made


@pytest.fixture
async def client(client_of: Client) -> httpx.AsyncClient:
    return await client_of()


@asynccontextmanager
async def listening(services: Services) -> AsyncGenerator[str]:
    """The app on a real socket, as streams need it."""
    server = Server(create_app(services), "127.0.0.1", 0)
    server.config.timeout_graceful_shutdown = 2
    with socket.create_server(("127.0.0.1", 0)) as bound:
        task = asyncio.create_task(server._serve([bound]))  # pyright: ignore[reportPrivateUsage]
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def submitted(client: httpx.AsyncClient, script: str = "print('hello')\n", **fields: object) -> str:
    """The id of an evaluation that was accepted."""
    answer = await client.post(ROOT, json={"model_id": "mock", "script": script, **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["evaluation_id"])
