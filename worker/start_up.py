"""What has to be there before a worker takes work; what is not is said in one sentence, with what to run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from sqlalchemy.exc import ArgumentError, NoSuchModuleError, ProgrammingError
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import StorageUnavailable, WorkflowsUnavailable
from storage.database import Database
from storage.schema import SchemaMismatch, require_schema
from worker.settings import WorkerSettings
from workflows.client import connect
from workflows.search_attributes import KEYS


class CannotStart(Exception):
    """A worker cannot work here. Its text is for the operator."""


async def connected(settings: WorkerSettings) -> Client:
    """A client of Temporal. Raises CannotStart where it is away, or lacks the namespace or search attributes."""
    _serve_metrics(settings)
    try:
        client = await connect(settings.temporal_address, settings.temporal_namespace)
        await _require_search_attributes(client)
    except WorkflowsUnavailable as error:
        raise CannotStart(_away(settings)) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise CannotStart(
                f"Temporal has no namespace {settings.temporal_namespace!r}: run `airlock admin setup`."
            ) from error
        raise CannotStart(_away(settings)) from error
    return client


async def opened_database(settings: WorkerSettings, lifetimes: AsyncExitStack) -> Database:
    """The database, which has our tables. Raises CannotStart."""
    try:
        database = await lifetimes.enter_async_context(Database(settings.database_url))
        await require_schema(database)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise CannotStart("AIRLOCK_DATABASE_URL is not the URL of a database that Airlock knows.") from error
    except SchemaMismatch as error:
        raise CannotStart(str(error)) from error
    except ProgrammingError as error:
        raise CannotStart("The database refuses this role's user: run `airlock admin setup`.") from error
    except StorageUnavailable as error:
        raise CannotStart("The database does not answer: start it, or correct AIRLOCK_DATABASE_URL.") from error
    return database


def _serve_metrics(settings: WorkerSettings) -> None:
    """One runtime for the process, before its first client: later ones would not be seen."""
    if settings.metrics_address is None:
        return
    metrics = PrometheusConfig(
        bind_address=settings.metrics_address, durations_as_seconds=True, counters_total_suffix=True
    )
    try:
        Runtime.set_default(Runtime(telemetry=TelemetryConfig(metrics=metrics)))
    except (RuntimeError, ValueError) as error:
        raise CannotStart(
            f"Metrics cannot be served at {settings.metrics_address}: choose a free AIRLOCK_METRICS_ADDRESS."
        ) from error


async def _require_search_attributes(client: Client) -> None:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = (await client.operator_service.list_search_attributes(request)).custom_attributes
    missing = [key.name for key in KEYS if key.name not in known]
    if missing:
        raise CannotStart(f"Temporal lacks the search attributes {_listed(missing)}: run `airlock admin setup`.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _away(settings: WorkerSettings) -> str:
    return f"Temporal does not answer at {settings.temporal_address}: start it, or set AIRLOCK_TEMPORAL_ADDRESS."
