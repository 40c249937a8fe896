"""A migrated database of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.database import Database, migrate
from storage.evaluations import Evaluations
from storage.journal import Journal
from storage.oversight import Oversight
from tests.storage.rows import later


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'airlock.db'}"
    migrate(url)
    return url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with Database(url) as opened:
        yield opened


@pytest.fixture
def evaluations(database: Database) -> Evaluations:
    """At a time when everything that the tests' rows tell of is long ago."""
    return Evaluations(database, now=lambda: later(100_000))


@pytest.fixture
def oversight(database: Database) -> Oversight:
    return Oversight(database)


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)
