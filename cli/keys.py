"""`airlock keys`: make and revoke API keys, on the database itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from sqlalchemy.exc import ProgrammingError

from cli.exit_codes import ExitCode
from cli.session import AsJson, Failed, tell
from cli.settings import operator_settings
from cli.terminal import OUT, print_json
from storage.database import Database, UnknownDatabase
from storage.keys import ApiKeys, NewKey, Scope
from storage.schema import SchemaMismatch, require_schema

MAX_LABEL = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")

app = typer.Typer(
    no_args_is_help=True, help="Make and revoke API keys. They are in the database that AIRLOCK_DATABASE_URL names."
)


@app.command()
def create(
    *,
    tenant: Annotated[str, typer.Option(help="Whose evaluations the key sees.")],
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; repeat it. Default: submit and read.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model it may name; repeat it. Default: every one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is shown this once."""
    _require_names("--tenant", [tenant])
    _require_names("--model", model or [])
    if len(label) > MAX_LABEL or not label.isprintable():
        raise Failed(f"--label is one line of at most {MAX_LABEL} letters.", ExitCode.USAGE)
    scopes = frozenset(scope or (Scope.SUBMIT, Scope.READ))
    key = asyncio.run(_created(tenant, label, scopes, frozenset(model) if model else None))
    if as_json:
        print_json({"key_id": key.key_id, "secret": key.secret, "scopes": sorted(scopes)})
        return
    OUT.print(key.secret)
    tell(f"{key.key_id} for tenant {tenant}: {', '.join(sorted(scopes))}. The secret cannot be shown again.")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="key_...")], *, as_json: AsJson = False) -> None:
    """Make a key worthless, at once."""
    if not asyncio.run(_revoked(key_id)):
        raise Failed(f"There is no key {key_id} that is in force.", ExitCode.NOT_FOUND)
    if as_json:
        print_json({"key_id": key_id, "revoked": True})
        return
    tell(f"{key_id} is revoked.")


def _require_names(option: str, names: Sequence[str]) -> None:
    """They stand in rows, search attributes, headings and metrics."""
    if not all(map(_NAME.fullmatch, names)):
        raise Failed(
            f"{option} is at most 100 letters, digits and ._:/- of ASCII, the first a letter or a digit.",
            ExitCode.USAGE,
        )


async def _created(tenant: str, label: str, scopes: frozenset[Scope], models: frozenset[str] | None) -> NewKey:
    async with _keys() as keys:
        return await keys.create(tenant, label, scopes, models)


async def _revoked(key_id: str) -> bool:
    async with _keys() as keys:
        return await keys.revoke(key_id)


@asynccontextmanager
async def _keys() -> AsyncGenerator[ApiKeys]:
    """The keys of the database. What it refuses is told in a sentence."""
    try:
        async with Database(operator_settings().database) as database:
            await require_schema(database)
            yield ApiKeys(database)
    except (UnknownDatabase, SchemaMismatch) as error:
        raise Failed(str(error), ExitCode.REFUSED) from error
    except ProgrammingError as error:
        words = str(error.orig).splitlines()[0]
        raise Failed(f"The database refuses this: {words}. Use the owner of its tables.", ExitCode.REFUSED) from error
