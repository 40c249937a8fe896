"""A database user for each process of a Postgres, for the length of a test."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from sqlalchemy import create_engine, make_url, text

from storage.database import migrate
from storage.rights import RIGHTS, grant

Users = Mapping[str, str]
"""Process to the URL under which it opens the database."""


@contextmanager
def database_users(empty_postgres: str) -> Generator[Users]:
    """Migrate, and make the users with their rights."""
    owner = make_url(empty_postgres)
    admin = os.environ.get("TEST_POSTGRES_ADMIN_URL")
    administered = make_url(admin) if admin else owner.set(username="postgres", password=None)
    administered = administered.set(drivername="postgresql+psycopg", query={"client_encoding": "utf8"})
    engine = create_engine(administered, isolation_level="AUTOCOMMIT")
    names = {process: f"{process}_{secrets.token_hex(4)}" for process in RIGHTS}
    with engine.connect() as connection:
        for name in names.values():
            connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'"))
    migrate(empty_postgres)
    owning = create_engine(owner)
    for _ in range(2):  # it can be repeated
        with owning.begin() as connection:
            grant(connection, names)
    owning.dispose()
    try:
        yield {
            process: owner.set(username=name, password="secret").render_as_string(hide_password=False)
            for process, name in names.items()
        }
    finally:
        with engine.connect() as connection:
            for name in names.values():
                connection.execute(text(f"DROP OWNED BY {name}; DROP ROLE {name}"))
        engine.dispose()
