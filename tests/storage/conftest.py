"""A migrated database for each test: a file, copied from one that is migrated once, and a schema of Postgres."""

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from storage.database import Database, migrate
from storage.evaluations import Evaluations
from storage.journal import Journal

POSTGRES = os.environ.get("TEST_POSTGRES_URL")
DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "airlock.db"
    migrate(f"sqlite:///{path}")
    return path


@contextmanager
def a_schema() -> Iterator[str]:
    """The URL of an empty schema, which goes with everything in it."""
    if POSTGRES is None:
        told = "TEST_POSTGRES_URL names no Postgres: only SQLite was tested"
        (pytest.fail if os.environ.get("AIRLOCK_REQUIRE_POSTGRES") else pytest.skip)(told)
    name = f"test_{secrets.token_hex(8)}"
    whole = make_url(POSTGRES).set(drivername="postgresql+psycopg", query={"client_encoding": "utf8"})
    engine = create_engine(whole, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    try:
        yield whole.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


@pytest.fixture
def empty_postgres() -> Iterator[str]:
    with a_schema() as empty:
        yield empty


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{shutil.copy(migrated, tmp_path / 'airlock.db')}"
        return
    with a_schema() as empty:
        migrate(empty)
        yield empty


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with Database(url) as opened:
        yield opened


@pytest.fixture
async def second_database(url: str) -> AsyncIterator[Database]:
    """The same database, opened as another process would."""
    async with Database(url) as opened:
        yield opened


@pytest.fixture
def evaluations(database: Database) -> Evaluations:
    return Evaluations(database)


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)
