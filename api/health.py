"""Routes that tell whether this process lives, and whether it can serve."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from api.examples import HEALTH, answers
from api.schemas import Health
from api.services import Served
from domain.errors import StorageUnavailable, WorkflowsUnavailable

READY_SECONDS = 2.0

router = APIRouter(tags=["health"])


@router.get("/livez", responses=answers(HEALTH))
async def live() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", responses=answers(HEALTH, 503))
async def ready(services: Served) -> Health:
    """The database and Temporal answer too: a submission would be accepted."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await services.database.ping()
    except TimeoutError:  # a server that hangs keeps its connections, and answers none
        raise StorageUnavailable("the database does not answer") from None
    try:
        async with asyncio.timeout(READY_SECONDS):
            await services.workflows.ping()
    except TimeoutError:
        raise WorkflowsUnavailable("Temporal does not answer") from None
    return Health(status="ok")
