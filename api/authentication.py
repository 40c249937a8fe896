"""Who is asking, and whether they may: a hashed key, its scopes, its share of requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from api.problems import Problem
from api.services import Served, Services
from storage.keys import Principal, Scope

MAX_SECRET = 200
_DOCUMENTED = HTTPBearer(auto_error=False, description="An API key. `airlock keys create` makes one.")


async def authenticate(connection: HTTPConnection, services: Services) -> Principal:
    """The owner of the key in the request, whose share it counts to, once. Raises Problem: 401 or 429."""
    known: Principal | None = connection.scope.get("airlock.principal")
    if known is not None:
        return known
    principal = await identify(connection.headers.get("authorization", ""), services)
    if principal is None:
        headers = {"WWW-Authenticate": "Bearer"}
        raise Problem(401, "unauthorized", "Send a valid API key: `Authorization: Bearer <key>`.", headers=headers)
    connection.scope["airlock.key_id"] = principal.key_id
    await services.rate_limits.spend(principal.key_id)
    connection.scope["airlock.principal"] = principal
    return principal


async def authorize(connection: HTTPConnection, services: Services, scope: Scope) -> Principal:
    """The same, if the key may do that. Raises Problem: 401, 403 or 429."""
    principal = await authenticate(connection, services)
    if scope not in principal.scopes:
        raise Problem(403, "scope_missing", f"This key may not {scope.value}.")
    return principal


async def identify(header: str, services: Services) -> Principal | None:
    """Whose key an Authorization header holds; None where it is nobody's."""
    kind, _, secret = header.partition(" ")
    secret = secret.strip()
    if kind.lower() != "bearer" or not 0 < len(secret) <= MAX_SECRET:
        return None
    return await services.keys.authenticate(secret)


def _allowed(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    async def allowed(request: Request, services: Served, _: Annotated[object, Depends(_DOCUMENTED)]) -> Principal:
        return await authorize(request, services, scope)

    return allowed


Submitter = Annotated[Principal, Depends(_allowed(Scope.SUBMIT))]
Reader = Annotated[Principal, Depends(_allowed(Scope.READ))]
Stopper = Annotated[Principal, Depends(_allowed(Scope.STOP))]
Approver = Annotated[Principal, Depends(_allowed(Scope.APPROVE))]
Deleter = Annotated[Principal, Depends(_allowed(Scope.DELETE))]
