"""API keys: made once, shown once, kept as digests."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import Field
from sqlalchemy import Connection, Row, insert, select, update

from domain.values import Value
from storage.database import Database
from storage.tables import api_keys

SECRET_BYTES = 20
"""160 bits: nobody guesses them, so a fast digest without salt is enough."""


class Scope(StrEnum):
    """What a key may do."""

    SUBMIT = "submit"
    READ = "read"
    STOP = "stop"
    APPROVE = "approve"
    DELETE = "delete"


class NewKey(Value):
    """A key at the only moment when its secret is known."""

    key_id: str
    secret: str = Field(repr=False)


class Principal(Value):
    """Who is asking."""

    tenant: str
    key_id: str
    scopes: frozenset[Scope]
    models: frozenset[str] | None
    """The models that it may name; None means every one."""


class ApiKeys:
    """The keys of all tenants. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tenant: str, label: str, scopes: frozenset[Scope], models: frozenset[str] | None) -> NewKey:
        """Make a key. Its secret cannot be had again."""
        key = NewKey(key_id=f"key_{_random(10)}", secret=f"airlock_{_random(SECRET_BYTES)}")
        row = {
            "key_id": key.key_id,
            "tenant": tenant,
            "label": label,
            "secret_sha256": _digest(key.secret),
            "scopes": " ".join(sorted(scopes)),
            "models": None if models is None else tuple(sorted(models)),
            "created_at": datetime.now(UTC),
        }
        await self._database.write(_insert, row)
        return key

    async def authenticate(self, secret: str) -> Principal | None:
        """Whose secret it is. None where it is nobody's, or was revoked."""
        row = await self._database.read(_find, _digest(secret))
        if row is None:
            return None
        return Principal(
            tenant=row.tenant,
            key_id=row.key_id,
            scopes=frozenset(scope for scope in Scope if scope in row.scopes.split()),
            models=None if row.models is None else frozenset(row.models),
        )

    async def valid(self, key_ids: frozenset[str]) -> frozenset[str]:
        """Those of the keys that were not revoked."""
        return await self._database.read(_valid, key_ids)

    async def revoke(self, key_id: str) -> bool:
        """Make a key worthless. False where there is no such key, or it was revoked before."""
        return await self._database.write(_revoke, key_id, datetime.now(UTC))


def _insert(connection: Connection, row: dict[str, Any]) -> None:
    connection.execute(insert(api_keys).values(row))


def _find(connection: Connection, digest: str) -> Row[Any] | None:
    query = select(api_keys).where(api_keys.c.secret_sha256 == digest, api_keys.c.revoked_at.is_(None))
    return connection.execute(query).one_or_none()


def _valid(connection: Connection, key_ids: frozenset[str]) -> frozenset[str]:
    query = select(api_keys.c.key_id).where(api_keys.c.key_id.in_(sorted(key_ids)), api_keys.c.revoked_at.is_(None))
    return frozenset(connection.execute(query).scalars())


def _revoke(connection: Connection, key_id: str, at: datetime) -> bool:
    query = update(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=at)
    return connection.execute(query).rowcount == 1


def _random(size: int) -> str:
    return base64.b32encode(secrets.token_bytes(size)).decode().lower().rstrip("=")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
