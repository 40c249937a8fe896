"""What SQLite needs and no other database does: the only file with SQL of its own."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from domain.errors import StorageUnavailable

BUSY_SECONDS = 15.0
"""How long a writer waits for the writers of other processes: there is one at a time."""
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
WRITES = "airlock_writes"
"""The execution option of an engine whose transactions write."""


def sqlite_engine(url: URL, **options: Any) -> Engine:
    """An engine whose transactions begin as they have to. Raises ValueError for a database in memory."""
    if url.database in (None, "", ":memory:"):
        raise ValueError("a database in memory cannot be shared: name a file")
    # Without an isolation level the driver leaves BEGIN to us; its own comes too late and is not immediate
    arguments = {"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False}
    engine = create_engine(url.set(drivername="sqlite"), connect_args=arguments, **options)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def prepare_file(url: URL) -> None:
    """Make the file if there is none, readable for us alone, and let readers work beside a writer for good.

    Raises StorageUnavailable, OSError.
    """
    path = Path(url.database or "")
    path.touch(mode=0o600, exist_ok=True)  # the other files of SQLite take over these rights
    last = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode = wal")
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _LOCKED:  # a disk that is full, for instance
                raise StorageUnavailable(f"{path} cannot be used", str(error)) from error
            if time.monotonic() > last:  # two do it at once: SQLite does not wait for this lock by itself
                raise StorageUnavailable(f"{path} is locked", str(error)) from error
            time.sleep(0.02)
        except sqlite3.DatabaseError as error:
            raise StorageUnavailable(f"{path} is damaged, or no database", str(error)) from error


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = on")
    connection.execute("PRAGMA synchronous = normal")  # with WAL a commit outlives our process without an fsync
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails when somebody wrote between: no waiting helps then
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
