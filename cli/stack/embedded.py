"""The whole of Airlock on one machine: real Temporal, the API, all worker roles, a SQLite file, local sandboxes."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.environments import make_default
from cli.stack import programs
from cli.stack.child import Child
from cli.stack.layout import Layout
from cli.stack.occupancy import alone
from storage.database import Database, migrate
from storage.keys import ApiKeys, Scope

ROOM_BYTES = 64 * 1024 * 1024
"""The least that has to be free where everything is kept. A database on a full disk says worse, and later."""
READY_SECONDS = 90.0
"""For each part to come up, on a loaded machine too."""
TENANT = "local"


class NoRoom(Exception):
    """The disk is as good as full. Its text says where."""


@dataclass(frozen=True)
class Running:
    """A stack that is up."""

    layout: Layout
    api_key: str
    children: tuple[Child, ...]


@asynccontextmanager
async def embedded_stack(
    state: Path, tell: Callable[[str], None], *, usual_ports: bool = True
) -> AsyncGenerator[Running]:
    """Bring everything up, in order, and stop everything at the end, in the opposite order.

    Raises AlreadyUp, NoRoom, NoTemporal, NotReady, NewerSchema, Failed, OSError and PlatformError.
    """
    async with alone(state, tell) as held:
        _require_room(state)
        layout = Layout.settle(state, tell, usual_ports=usual_ports)
        await asyncio.to_thread(make_default, layout.environments)
        await asyncio.to_thread(migrate, layout.database_url)
        key = await _key(layout)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(Child(programs.temporal(layout), tell, held))
            await server.until_ready(READY_SECONDS)
            started = [programs.api(layout), *(programs.worker(layout, name) for name in programs.WORKERS)]
            children = [Child(program, tell, held) for program in started]
            await stack.enter_async_context(_together(children))
            await asyncio.gather(*(child.until_ready(READY_SECONDS) for child in children))
            yield Running(layout, key, (server, *children))


def _require_room(state: Path) -> None:
    if (free := shutil.disk_usage(state).free) < ROOM_BYTES:
        have, need = free // 1024**2, ROOM_BYTES // 1024**2
        raise NoRoom(
            f"The disk of {state} has {have} MB left, and {need} are needed: free some, or name another --state."
        )


@asynccontextmanager
async def _together(children: list[Child]) -> AsyncGenerator[None]:
    """Stops all at once: one that takes its time does not make the others wait."""
    try:
        for child in children:
            await child.__aenter__()
        yield
    finally:
        await asyncio.gather(*(child.__aexit__(None, None, None) for child in children))


async def _key(layout: Layout) -> str:
    """The key in `env` if it is still good, else a new one, which `env` then holds."""
    file = layout.state / "env"
    async with Database(layout.database_url) as database:
        keys = ApiKeys(database)
        secret = _secret_in(file)
        if secret is None or await keys.authenticate(secret) is None:
            secret = (await keys.create(TENANT, "made by airlock up", frozenset(Scope), None)).secret
    _write_privately(file, f"export AIRLOCK_URL={layout.api_url}\nexport AIRLOCK_API_KEY={secret}\n")
    return secret


def _secret_in(file: Path) -> str | None:
    if not file.exists():
        return None
    words = (line.partition("AIRLOCK_API_KEY=")[2] for line in file.read_text("utf-8", "replace").splitlines())
    return next((word for word in words if word), None)


def _write_privately(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    new.replace(file)
