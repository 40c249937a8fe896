"""What has to be there before a worker takes work; what is not is said in one sentence, with what to run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from sqlalchemy.exc import ProgrammingError
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from domain.errors import StorageUnavailable, WorkflowsUnavailable
from storage.database import Database, UnknownDatabase
from storage.rights import RightsMissing, require_rights
from storage.schema import SchemaMismatch, require_schema
from worker.settings import WorkerSettings
from workflows.client import connect
from workflows.namespace import NamespaceUnprepared, require_prepared


class CannotStart(Exception):
    """A worker cannot work here. Its text is for the operator."""


async def connected(settings: WorkerSettings) -> Client:
    """A client of Temporal. Raises CannotStart where it is away, or lacks the namespace or search attributes."""
    _serve_metrics(settings)
    try:
        client = await connect(settings.temporal_address, settings.temporal_namespace)
        await require_prepared(client)
    except NamespaceUnprepared as error:
        raise CannotStart(str(error)) from error
    except WorkflowsUnavailable as error:
        address = settings.temporal_address
        raise CannotStart(
            f"Temporal does not answer at {address}: start it, or set AIRLOCK_TEMPORAL_ADDRESS."
        ) from error
    return client


async def opened_database(settings: WorkerSettings, processes: Sequence[str], lifetimes: AsyncExitStack) -> Database:
    """The database, which has our tables, and whose user has the rights of these processes. Raises CannotStart."""
    try:
        database = await lifetimes.enter_async_context(Database(settings.database_url))
        await require_schema(database)
        for process in processes:
            await require_rights(database, process)
    except (UnknownDatabase, SchemaMismatch, RightsMissing) as error:
        raise CannotStart(str(error)) from error
    except ProgrammingError as error:
        raise CannotStart("The database refuses this role's user: run `airlock admin setup --grant`.") from error
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
