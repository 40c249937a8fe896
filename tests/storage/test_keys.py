"""API keys: who they are, and that nobody learns their secrets from the database."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Connection, select

from storage.database import Database
from storage.keys import ApiKeys, Principal, Scope
from storage.tables import metadata

SOME = frozenset({Scope.SUBMIT, Scope.READ})


def everything_in(connection: Connection) -> str:
    rows = [row for table in metadata.sorted_tables for row in connection.execute(select(table))]
    return "\n".join(str(row) for row in rows)


async def test_a_key_tells_tenant_scopes_and_models(database: Database) -> None:
    keys = ApiKeys(database)

    key = await keys.create("tenant-a", "laptop", SOME, frozenset({"mock", "gpt-4"}))

    assert await keys.authenticate(key.secret) == Principal(
        tenant="tenant-a", key_id=key.key_id, scopes=SOME, models=frozenset({"mock", "gpt-4"})
    )


@pytest.mark.parametrize("models", [None, frozenset[str]()])
async def test_every_model_and_no_model_are_not_the_same(database: Database, models: frozenset[str] | None) -> None:
    keys = ApiKeys(database)

    principal = await keys.authenticate((await keys.create("tenant-a", "", frozenset(Scope), models)).secret)

    assert principal is not None
    assert principal.models == models
    assert principal.scopes == frozenset(Scope)


@pytest.mark.parametrize("secret", ["", "airlock_", "airlock_" + "a" * 32, "' OR 1=1 --", "\ud800", "x" * 100_000])
async def test_another_secret_is_nobody(database: Database, secret: str) -> None:
    keys = ApiKeys(database)
    await keys.create("tenant-a", "", SOME, None)

    assert await keys.authenticate(secret) is None


async def test_a_revoked_key_is_nobody_and_the_others_stay(database: Database) -> None:
    keys = ApiKeys(database)
    one, other = [await keys.create("tenant-a", "", SOME, None) for _ in range(2)]

    assert await keys.revoke(one.key_id)

    assert await keys.authenticate(one.secret) is None
    assert await keys.authenticate(other.secret) is not None
    assert not await keys.revoke(one.key_id)
    assert not await keys.revoke("key_unknown")


async def test_a_secret_is_long_random_and_not_in_the_database(database: Database) -> None:
    keys = [await ApiKeys(database).create("tenant-a", "", SOME, None) for _ in range(20)]

    assert all(re.fullmatch(r"airlock_[a-z2-7]{32}", key.secret) for key in keys)  # 160 bits
    assert len({key.secret for key in keys}) == 20
    stored = await database.read(everything_in)
    assert keys[0].key_id in stored
    assert not any(key.secret.removeprefix("airlock_") in stored for key in keys)


async def test_a_secret_is_not_shown_by_accident(database: Database) -> None:
    key = await ApiKeys(database).create("tenant-a", "", SOME, None)

    assert key.secret not in f"{key} {key!r}"
