"""The migrations make the tables that the code speaks of."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from domain.errors import StorageUnavailable
from storage.database import migrate
from storage.tables import metadata


def tables(path: Path) -> set[str]:
    engine = create_engine(f"sqlite:///{path}")
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_migrated_tables_are_the_declared_ones(migrated: Path) -> None:
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert differences == []


@pytest.mark.parametrize("table", [table for table in metadata.tables.values() if table.name != "alembic_version"])
def test_every_row_has_a_tenant(table) -> None:
    assert not table.c.tenant.nullable


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/airlock.db"
    migrate(url)
    before = tables(tmp_path / "airlock.db")

    migrate(url)

    assert tables(tmp_path / "airlock.db") == before


def test_several_that_migrate_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/airlock.db"

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate, [url] * 4))

    assert tables(tmp_path / "airlock.db") == {*metadata.tables, "alembic_version"}


def test_a_new_file_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path}/airlock.db")

    assert stat.S_IMODE((tmp_path / "airlock.db").stat().st_mode) == 0o600


def test_a_directory_that_is_not_there_is_a_platform_error(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        migrate(f"sqlite:///{tmp_path}/nowhere/airlock.db")


def test_a_path_with_a_percent_sign_works(tmp_path: Path) -> None:
    (tmp_path / "100%").mkdir()

    migrate(f"sqlite:///{tmp_path}/100%25/airlock.db")


@pytest.mark.postgres
def test_several_that_migrate_a_postgres_at_once_all_succeed(empty_postgres: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate, [empty_postgres] * 4))

    engine = create_engine(empty_postgres)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert differences == []
