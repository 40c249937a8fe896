"""Whether the tables are those that this code speaks of: asked before a process starts to work."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage.database import Database


class SchemaMismatch(Exception):
    """The database was migrated by other code than this, or never. Its text says what to run."""


async def require_schema(database: Database) -> None:
    """Raise SchemaMismatch unless the migrations of this code, and no later ones, have been run.

    Raises StorageUnavailable where the database does not answer.
    """
    found = await database.read(_found)
    wanted, known = _ours()
    if found == wanted:
        return
    if found is None:
        raise SchemaMismatch("The database has no tables of Airlock: run `airlock admin setup`.")
    if found in known:
        raise SchemaMismatch(f"The database has schema {found}, older than {wanted}: run `airlock admin setup`.")
    raise SchemaMismatch(f"The database has schema {found}, which is newer than this release ({wanted}): upgrade it.")


def _found(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _ours() -> tuple[str, frozenset[str]]:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    assert head is not None
    return head, frozenset(script.revision for script in scripts.walk_revisions())
