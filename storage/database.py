"""The one SQL database: connections, transactions, migrations. The only file that knows what SQLite needs."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from domain.errors import StorageUnavailable

BUSY_SECONDS = 15.0
"""How long a writer waits for the writers of other processes. SQLite has one at a time."""
POOL_SECONDS = 15.0
"""How long anybody waits for a connection of this process."""
_OURS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""A defect or a race of ours: the database answered."""
_MIGRATION_LOCK = 7_203_911
"""Any number: the advisory lock of Postgres that migrations hold."""
_WRITES = "airlock_writes"


class Database:
    """A pool of connections. Used as an async context manager, by one event loop."""

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        if self._sqlite:
            self.engine: AsyncEngine = create_async_engine(
                self._url.set(drivername="sqlite+aiosqlite"),
                connect_args=_SQLITE_ARGUMENTS,
                pool_timeout=POOL_SECONDS,
            )
            _listen(self.engine.sync_engine)
        else:
            self.engine = create_async_engine(self._url, pool_timeout=POOL_SECONDS, pool_pre_ping=True)
        self._writing = self.engine.execution_options(**{_WRITES: True})
        # Within a process writers queue fairly here, instead of sleeping and trying inside SQLite
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if self._sqlite else nullcontext()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that may write. Raises StorageUnavailable.

        Never open one within another: in SQLite the inner one would wait for the outer one for ever.
        """
        with _translated():
            async with self._turn, self._writing.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that only reads: it neither waits for writers nor holds them up. Raises StorageUnavailable."""
        with _translated():
            async with self.engine.begin() as connection:
                yield connection

    async def ping(self) -> None:
        """Raise StorageUnavailable unless the database answers and has our tables."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1 FROM evaluations LIMIT 1"))


def migrate(url: str) -> None:
    """Bring the tables up to date. Idempotent; of two that start at once the second waits. Raises StorageUnavailable.

    Takes the same URL as `Database`. Everything happens in one transaction: a failed migration leaves nothing behind.
    """
    parsed = _parsed(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite:
        _create_private(Path(parsed.database or ""))
        engine = create_engine(parsed.set(drivername="sqlite"), connect_args=_SQLITE_ARGUMENTS, poolclass=NullPool)
        _listen(engine)
        event.listen(engine, "connect", _use_wal)
    else:
        engine = create_engine(parsed, poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    try:
        with _translated(), engine.execution_options(**{_WRITES: True}).begin() as connection:
            if not sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


_SQLITE_ARGUMENTS = {"timeout": BUSY_SECONDS, "isolation_level": None}
"""Without an isolation level the driver leaves BEGIN to us; its own comes too late and is not immediate."""


def _parsed(url: str) -> URL:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("a database in memory cannot be shared: name a file")
    return parsed


def _create_private(path: Path) -> None:
    """Only we may read scripts and results. The other files of SQLite take over these rights."""
    with _translated():
        path.touch(mode=0o600, exist_ok=True)


def _listen(engine: Engine) -> None:
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = on")
    cursor.execute("PRAGMA synchronous = normal")  # with WAL: a commit survives a dead process without an fsync
    cursor.execute("PRAGMA journal_size_limit = 67108864")
    cursor.close()


def _use_wal(connection: Any, _record: object) -> None:
    """Readers beside a writer; written into the file for good. SQLite does not wait for this lock by itself."""
    last = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = wal")
        except sqlite3.OperationalError:
            if time.monotonic() > last:
                raise
            time.sleep(0.02)
        else:
            return


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail when somebody wrote between: no waiting helps then
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except _OURS:
        raise
    except (DBAPIError, PoolExhausted, OSError) as error:
        words = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        raise StorageUnavailable("the database does not answer", words) from error
