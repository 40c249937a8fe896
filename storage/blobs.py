"""Scripts and large results, by tenant and content."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

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
    """Keep bytes within a transaction, so that no deletion takes them away before the reference is written."""
    ref = ScriptRef(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    row = {"tenant": tenant, "sha256": ref.sha256, "size": ref.size, "content": data}
    while not _locked(connection, tenant, ref.sha256):
        try:
            with connection.begin_nested():
                connection.execute(insert(blobs).values(row))
                break
        except IntegrityError:  # somebody else was faster, and may have deleted it again: look anew
            continue
    return ref


def _content(connection: Connection, tenant: str, sha256: str) -> bytes | None:
    query = select(blobs.c.content).where(blobs.c.tenant == tenant, blobs.c.sha256 == sha256)
    return connection.execute(query).scalar_one_or_none()


def _locked(connection: Connection, tenant: str, sha256: str) -> bool:
    query = select(blobs.c.size).where(blobs.c.tenant == tenant, blobs.c.sha256 == sha256).with_for_update()
    return connection.execute(query).scalar_one_or_none() is not None
