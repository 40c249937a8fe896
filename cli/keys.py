"""`airlock keys`: make and revoke API keys, on the database itself."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.exit_codes import ExitCode
from cli.session import AsJson, Failed, tell
from cli.settings import operator_settings
from cli.terminal import OUT, print_json
from storage.database import Database
from storage.keys import ApiKeys, NewKey, Scope

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


async def _created(tenant: str, label: str, scopes: frozenset[Scope], models: frozenset[str] | None) -> NewKey:
    async with Database(operator_settings().database) as database:
        return await ApiKeys(database).create(tenant, label, scopes, models)


async def _revoked(key_id: str) -> bool:
    async with Database(operator_settings().database) as database:
        return await ApiKeys(database).revoke(key_id)
