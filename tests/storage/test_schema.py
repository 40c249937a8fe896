"""A process that finds other tables than its own says so, and what to run."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from domain.errors import StorageUnavailable
from storage import schema
from storage.database import Database
from storage.schema import SchemaMismatch, require_schema


def revision(connection: Connection, name: str) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = :name"), {"name": name})


async def test_a_migrated_database_is_taken(database: Database) -> None:
    await require_schema(database)


async def test_an_empty_database_asks_for_the_setup(tmp_path: Path) -> None:
    async with Database(f"sqlite:///{tmp_path}/empty.db") as empty:
        with pytest.raises(SchemaMismatch, match="no tables of Airlock: run `airlock admin setup`"):
            await require_schema(empty)


async def test_a_newer_schema_is_refused(database: Database) -> None:
    await database.write(revision, "9999")

    with pytest.raises(SchemaMismatch, match="9999, which is newer"):
        await require_schema(database)


async def test_an_older_schema_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_ours", lambda: ("0004", frozenset({"0001", "0002", "0003", "0004"})))

    with pytest.raises(SchemaMismatch, match="0003, older than 0004"):
        await require_schema(database)


async def test_a_database_that_is_away_is_not_called_an_old_one(tmp_path: Path) -> None:
    async with Database(f"sqlite:///{tmp_path}/nowhere/airlock.db") as away:
        with pytest.raises(StorageUnavailable):
            await require_schema(away)


def test_the_names_of_the_files_are_what_alembic_reads_in_them() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS.parent))
    scripts = ScriptDirectory.from_config(config)

    ours = schema._ours()  # pyright: ignore[reportPrivateUsage]
    assert ours == (scripts.get_current_head(), {script.revision for script in scripts.walk_revisions()})
