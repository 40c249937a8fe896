"""Scripts and large results, by tenant and content."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from domain.evaluation import ScriptRef
from storage.database import Database
from storage.tables import blobs


class Blobs:
    """Contents by tenant and digest: nobody gets another tenant's by naming its digest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tenant: str, data: bytes) -> ScriptRef:
        """Keep bytes. Idempotent. Raises StorageUnavailable."""
        return await self._database.write(keep, tenant, data)

    async def get(self, tenant: str, sha256: str) -> bytes | None:
        """The bytes, None where there are none or they were deleted. Raises StorageUnavailable."""
        return await self._database.read(_content, tenant, sha256)


def keep(connection: Connection, tenant: str, data: bytes) -> ScriptRef:
    """Keep bytes within a transaction, so that no deletion takes them away before the reference is written.

    One statement either inserts the row or, by setting its size to what it is, locks the one that is there.
    """
    ref = ScriptRef(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(blobs).values(tenant=tenant, sha256=ref.sha256, size=ref.size, content=data)
    place = [blobs.c.tenant, blobs.c.sha256]
    connection.execute(row.on_conflict_do_update(index_elements=place, set_={"size": row.excluded.size}))
    return ref


def _content(connection: Connection, tenant: str, sha256: str) -> bytes | None:
    query = select(blobs.c.content).where(blobs.c.tenant == tenant, blobs.c.sha256 == sha256)
    return connection.execute(query).scalar_one_or_none()
