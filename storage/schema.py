"""Whether the tables are those that this code speaks of: asked before a process starts to work."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations" / "versions"
VERSIONS = "alembic_version"


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
    if not inspect(connection).has_table(VERSIONS):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSIONS}")).scalar_one_or_none()  # noqa: S608 - our own word


def _ours() -> tuple[str, frozenset[str]]:
    """The last migration and all of them, by the names of their files: Alembic itself takes a tenth of a start."""
    known = frozenset(file.name[:4] for file in MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.py"))
    return max(known), known
