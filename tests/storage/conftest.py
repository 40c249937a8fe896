"""A migrated database file for each test, copied from one that is migrated once."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.database import Database, migrate
from storage.evaluations import Evaluations
from storage.journal import Journal


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "airlock.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def url(migrated: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(migrated, tmp_path / 'airlock.db')}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with Database(url) as opened:
        yield opened


@pytest.fixture
async def second_database(url: str) -> AsyncIterator[Database]:
    """The same file, opened as another process would."""
    async with Database(url) as opened:
        yield opened


@pytest.fixture
def evaluations(database: Database) -> Evaluations:
    return Evaluations(database)


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)
