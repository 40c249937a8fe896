"""The connections that an API gateway holds for clients, what each watches, and who pushes to it just now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Table, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from domain.values import Value
from storage.database import Database
from storage.tables import connections, subscriptions

MAX_SUBSCRIPTIONS = 50
"""Of one connection."""


class GatewayConnection(Value):
    """A connection, as long as its gateway keeps it."""

    connection_id: str
    tenant: str
    key_id: str
    expires_at: datetime
    """After that no gateway holds it any more, whether it told us or not."""


class Subscription(Value):
    """One evaluation that a connection watches."""

    connection_id: str
    evaluation_id: str
    tenant: str
    key_id: str
    place: int
    """The last entry that was told, or passed over."""

    @property
    def order(self) -> tuple[str, str]:
        """By which they are listed."""
        return self.connection_id, self.evaluation_id


class Connections:
    """Everything raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, connection: GatewayConnection, at_most: int, now: datetime) -> bool:
        """Keep a connection. False where its key has `at_most` already. Repeating it changes nothing.

        One of the same id, but of another key, must have ended unheard: nothing of it is left to the new one.
        """
        return await self._database.write(_open, connection, at_most, now)

    async def find(self, connection_id: str) -> GatewayConnection | None:
        """Whose a connection is. None where it is closed, or was never opened."""
        row = await self._database.read(_find, connection_id)
        return None if row is None else GatewayConnection.model_validate(row)

    async def close(self, connection_id: str) -> None:
        """Forget a connection with all that it watched."""
        await self._database.write(_close, connection_id)

    async def subscribe(self, connection_id: str, evaluation_id: str, tenant: str, place: int) -> bool:
        """Watch an evaluation from behind an entry on; again, from another. False where it watches too many."""
        return await self._database.write(_subscribe, connection_id, evaluation_id, tenant, place)

    async def unsubscribe(self, connection_id: str, evaluation_id: str) -> None:
        """Watch it no longer."""
        await self._database.write(_unsubscribe, connection_id, evaluation_id, None)

    async def claim(self, pusher: str, now: datetime, until: datetime) -> None:
        """Push to whatever nobody pushes to, and go on with what is ours. Forgets what has expired."""
        await self._database.write(_claim, pusher, now, until)

    async def watched(self, pusher: str, limit: int, behind: tuple[str, str] | None = None) -> list[Subscription]:
        """What the connections of a pusher watch, from behind a subscription's `order` on; None: from the first on."""
        rows = await self._database.read(_watched, pusher, limit, behind or ("", ""))
        return [Subscription.model_validate(row) for row in rows]

    async def told(self, watcher: Subscription, place: int) -> Subscription | None:
        """Note how far a watcher has been told. None where it watches from another place now, or no longer."""
        noted = await self._database.write(_told, watcher, place)
        return watcher.model_copy(update={"place": place}) if noted else None

    async def told_the_end(self, watcher: Subscription) -> None:
        """Watch it no longer, unless it watches from another place by now."""
        await self._database.write(_unsubscribe, watcher.connection_id, watcher.evaluation_id, watcher.place)


def _open(connection: Connection, opened: GatewayConnection, at_most: int, now: datetime) -> bool:
    columns = connections.c
    mine = select(func.count()).where(columns.key_id == opened.key_id, columns.expires_at > now)
    others = mine.where(columns.connection_id != opened.connection_id)
    if connection.execute(others).scalar_one() >= at_most:
        return False
    connection.execute(
        delete(connections).where(columns.connection_id == opened.connection_id, columns.key_id != opened.key_id)
    )
    connection.execute(_insert(connection, connections).values(**opened.model_dump()).on_conflict_do_nothing())
    return True


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)


def _find(connection: Connection, connection_id: str) -> RowMapping | None:
    columns = connections.c
    query = select(columns.connection_id, columns.tenant, columns.key_id, columns.expires_at)
    return connection.execute(query.where(columns.connection_id == connection_id)).mappings().one_or_none()


def _close(connection: Connection, connection_id: str) -> None:
    connection.execute(delete(connections).where(connections.c.connection_id == connection_id))


def _subscribe(connection: Connection, connection_id: str, evaluation_id: str, tenant: str, place: int) -> bool:
    columns = subscriptions.c
    if not _held(connection, connection_id):  # it was closed meanwhile: there is nobody to tell
        return True
    others = select(func.count()).where(columns.connection_id == connection_id, columns.evaluation_id != evaluation_id)
    if connection.execute(others).scalar_one() >= MAX_SUBSCRIPTIONS:
        return False
    row = {"connection_id": connection_id, "evaluation_id": evaluation_id, "tenant": tenant, "place": place}
    anew = _insert(connection, subscriptions).values(row)
    connection.execute(anew.on_conflict_do_update(index_elements=list(columns)[:2], set_={"place": place}))
    return True


def _held(connection: Connection, connection_id: str) -> bool:
    """Whether a connection is there. It stays as long as this transaction, and what it watches is counted by one."""
    mine = select(connections.c.connection_id).where(connections.c.connection_id == connection_id).with_for_update()
    return connection.execute(mine).first() is not None


def _unsubscribe(connection: Connection, connection_id: str, evaluation_id: str, place: int | None) -> None:
    columns = subscriptions.c
    mine = delete(subscriptions).where(columns.connection_id == connection_id, columns.evaluation_id == evaluation_id)
    connection.execute(mine if place is None else mine.where(columns.place == place))


def _claim(connection: Connection, pusher: str, now: datetime, until: datetime) -> None:
    columns = connections.c
    connection.execute(delete(connections).where(columns.expires_at <= now))
    free = or_(columns.pusher == pusher, columns.pushed_until.is_(None), columns.pushed_until <= now)
    connection.execute(update(connections).where(free).values(pusher=pusher, pushed_until=until))


def _watched(connection: Connection, pusher: str, limit: int, behind: tuple[str, str]) -> Sequence[RowMapping]:
    columns = subscriptions.c
    query = (
        select(subscriptions, connections.c.key_id)
        .join(connections, connections.c.connection_id == subscriptions.c.connection_id)
        .where(connections.c.pusher == pusher, tuple_(columns.connection_id, columns.evaluation_id) > tuple_(*behind))
        .order_by(columns.connection_id, columns.evaluation_id)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def _told(connection: Connection, watcher: Subscription, place: int) -> bool:
    columns = subscriptions.c
    mine = (columns.connection_id == watcher.connection_id, columns.evaluation_id == watcher.evaluation_id)
    change = update(subscriptions).where(*mine, columns.place == watcher.place).values(place=place)
    return connection.execute(change).rowcount == 1
