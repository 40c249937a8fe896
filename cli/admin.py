"""`airlock admin`: prepares the database and Temporal for an installation."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.session import tell
from cli.settings import OperatorSettings, operator_settings
from storage.database import Database, migrate
from storage.rights import RIGHTS, grant
from workflows.client import connect
from workflows.namespace import prepare

app = typer.Typer(no_args_is_help=True, help="Prepare an installation.")


@app.callback()
def admin() -> None:
    """Prepare an installation."""


@app.command()
def setup(
    *,
    rights: Annotated[
        bool, typer.Option("--grant", help="Give the users airlock_PROCESS of a Postgres their rights.")
    ] = False,
) -> None:
    """Bring the database's tables and Temporal's search attributes up to date. Repeat it with every deployment."""
    settings = operator_settings()
    migrate(settings.database)
    tell("The database is up to date.")
    if rights:
        asyncio.run(_grant(settings.database))
        tell(f"Each has its rights: {', '.join(_USERS.values())}.")
    asyncio.run(_register(settings))
    tell(f"The namespace {settings.temporal_namespace} has the search attributes.")


_USERS = {process: f"airlock_{process}" for process in RIGHTS}


async def _grant(url: str) -> None:
    async with Database(url) as database:
        await database.write(grant, _USERS)


async def _register(settings: OperatorSettings) -> None:
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    await prepare(client)
