"""What the routes work with, as one value: made by api/wiring.py, put into the app by api/app.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.gateway import Workflows
from api.journal_feed import JournalFeed
from api.rate_limits import BodyRoom, RateLimits, StreamSlots
from api.settings import ApiSettings
from api.status_queries import StatusQueries
from api.submitting import Submitting
from domain.environments import Environment
from domain.model_catalogue import CatalogueModel
from storage.blobs import Blobs
from storage.database import Database
from storage.evaluations import Evaluations
from storage.journal import Journal
from storage.keys import ApiKeys


@dataclass(frozen=True)
class Services:
    """Everything that outlives a request. None of it is state of an evaluation."""

    settings: ApiSettings
    database: Database
    evaluations: Evaluations
    journal: Journal
    blobs: Blobs
    keys: ApiKeys
    workflows: Workflows
    environments: Mapping[str, Environment]
    models: Mapping[str, CatalogueModel]
    submitting: Submitting
    status_queries: StatusQueries
    feed: JournalFeed
    rate_limits: RateLimits
    stream_slots: StreamSlots
    body_room: BodyRoom


async def services_of(connection: HTTPConnection) -> Services:
    """The services of the app that serves this request or WebSocket. Async, or FastAPI would take a thread for it."""
    return cast("Services", connection.app.state.services)


Served = Annotated[Services, Depends(services_of)]
