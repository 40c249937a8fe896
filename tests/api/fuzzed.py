"""The API as it is fuzzed: `python -m tests.api.fuzzed FOLDER` serves it on a free port, and tells it with two keys.

On a real database with real parser children; the workflows are a fake that ends at once what it is told to stop.
Each tenant has evaluations that say a word of its own: an answer with it to anybody else is noted in FOLDER/foreign.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import create_app
from api.server import Server
from api.services import Services
from api.settings import ApiSettings
from api.wiring import parser_pool, serving
from domain.environments import Environment
from domain.evaluation import Cause, EvaluationEnd, StopOrder
from domain.lifecycle import Status
from storage.database import Database, migrate
from storage.evaluations import Evaluations
from storage.keys import ApiKeys, Principal
from storage.keys import Scope as KeyScope
from tests.api import stories
from tests.api.conftest import submitted
from tests.api.fake_workflows import FakeWorkflows

TENANTS = ("tenant-a", "tenant-b")
WORDS = {tenant: f"only_{tenant[-1]}_may_read_this" for tenant in TENANTS}
"""What each tenant's scripts and tags say: a foreign word."""


class ForeignWords:
    """Looks through every answer for what another tenant wrote."""

    def __init__(self, app: ASGIApp, notes: Path) -> None:
        self._app, self._notes = app, notes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told: list[bytes] = []

        async def heard(message: Message) -> None:
            told.extend(value for _, value in message.get("headers", ()))
            told.append(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, heard)
        principal: Principal | None = scope.get("airlock.principal")
        foreign = [word for tenant, word in WORDS.items() if principal is None or tenant != principal.tenant]
        if any(word.encode() in b"".join(told) for word in foreign):
            with self._notes.open("a") as notes:
                notes.write(f"{scope['method']} {scope['path']}\n")


class ObedientWorkflows(FakeWorkflows):
    """What is told to stop is dead at once."""

    def __init__(self, evaluations: Evaluations) -> None:
        super().__init__()
        self._evaluations = evaluations

    async def stop(self, evaluation_id: str, order: StopOrder) -> bool:
        cause = Cause(stage=None, code="stopped", message=order.reason or "emergency stop")
        end = EvaluationEnd(evaluation_id=evaluation_id, status=Status.STOPPED, cause=cause)
        await self._evaluations.conclude(end, stories.now())
        return await super().stop(evaluation_id, order)


async def furnish(services: Services, client: httpx.AsyncClient, word: str) -> None:
    """Evaluations in several statuses, that say the word wherever a tenant can say something."""
    script = f"def evaluate_model(model):\n    return {word!r}\n"
    config = {"tags": {"word": word}, "params": {"word": word}}
    ids = [await submitted(client, script, config=config) for _ in range(3)]
    await stories.ask_a_person(services, ids[0])
    await stories.print_lines(services, ids[1], word)
    await stories.complete(services, ids[1], word)


async def serve(folder: Path) -> None:
    url = f"sqlite:///{folder / 'airlock.db'}"
    migrate(url)
    modules = tuple(sorted(sys.stdlib_module_names))
    environments = {"default": Environment(name="default", python=sys.executable, modules=modules, digest="d" * 64)}
    values = {"database_url": url, "check_seconds": 2, "stream_seconds": 0.05, "rate_limit": "1000000/minute"}
    settings = ApiSettings.model_validate(values)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(url))
        checker = await stack.enter_async_context(parser_pool(environments))
        workflows = ObedientWorkflows(Evaluations(database))
        services = await stack.enter_async_context(serving(settings, database, workflows, checker, environments))
        keys = [(await ApiKeys(database).create(tenant, "", frozenset(KeyScope), None)).secret for tenant in TENANTS]
        app = create_app(services)
        for tenant, key in zip(TENANTS, keys, strict=True):
            headers = {"Authorization": f"Bearer {key}"}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
                await furnish(services, client, WORDS[tenant])
        server = Server(ForeignWords(app, folder / "foreign"), "127.0.0.1", 0)
        serving_now = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it no other way
            await asyncio.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", *keys, flush=True)  # noqa: T201 - it speaks to the test
        await serving_now


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(serve(Path(sys.argv[1])))
