"""Prepares a namespace of Temporal for evaluations: that it is there, and knows the search attributes."""

from __future__ import annotations

import asyncio
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import WorkflowsUnavailable
from workflows.search_attributes import EVERY_KEY, KEYS

RETENTION_DAYS = 30
"""For which Temporal keeps an ended workflow for people to look at. Our own records stay in the database."""

CACHED_SECONDS = 60.0
"""For which a server may not know of what was added."""
_NOT_YET = frozenset({RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.NOT_FOUND})


class NamespaceUnprepared(Exception):
    """Temporal lacks the namespace, or search attributes in it. Its text says what to run."""


async def require_prepared(client: Client) -> None:
    """Raise NamespaceUnprepared unless everything is there. Raises WorkflowsUnavailable where Temporal is away."""
    try:
        missing = await _missing(client)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NamespaceUnprepared(
                f"Temporal has no namespace {client.namespace!r}: run `airlock admin setup`."
            ) from error
        raise WorkflowsUnavailable("Temporal does not answer", error.message) from error
    if missing:
        names = ", ".join(key.name for key in missing)
        raise NamespaceUnprepared(f"Temporal lacks the search attributes {names}: run `airlock admin setup`.")


async def prepare(client: Client) -> None:
    """Make what is missing, and wait until it can be used. Idempotent. Raises WorkflowsUnavailable."""
    try:
        await _make_namespace(client)
        missing = await _missing(client)
        if missing:
            added = {key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in missing}
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=added)
            )
        await _usable(client)
    except RPCError as error:
        raise WorkflowsUnavailable("the namespace cannot be prepared", error.message) from error


async def _missing(client: Client) -> list[SearchAttributeKey[Any]]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = (await client.operator_service.list_search_attributes(request)).custom_attributes
    return [key for key in KEYS if key.name not in known]


async def _usable(client: Client) -> None:
    """Wait for the servers' caches: until then a workflow that names an attribute is refused."""
    last = asyncio.get_running_loop().time() + CACHED_SECONDS
    while True:
        try:
            await client.count_workflows(EVERY_KEY)
        except RPCError as error:
            if error.status not in _NOT_YET or asyncio.get_running_loop().time() > last:
                raise
            await asyncio.sleep(0.5)
        else:
            return


async def _make_namespace(client: Client) -> None:
    retention = Duration(seconds=RETENTION_DAYS * 24 * 3600)
    request = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=retention)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
