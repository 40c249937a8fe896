"""Prepares a namespace of Temporal for evaluations: that it is there, and knows the search attributes."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import WorkflowsUnavailable
from workflows.search_attributes import KEYS

RETENTION_DAYS = 30
"""For which Temporal keeps an ended workflow for people to look at. Our own records stay in the database."""


async def prepare(client: Client) -> None:
    """Make what is missing. Idempotent. Raises WorkflowsUnavailable."""
    try:
        await _make_namespace(client)
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        missing = {
            key.name: IndexedValueType.ValueType(key.indexed_value_type)
            for key in KEYS
            if key.name not in known.custom_attributes
        }
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        raise WorkflowsUnavailable("the namespace cannot be prepared", error.message) from error


async def _make_namespace(client: Client) -> None:
    retention = Duration(seconds=RETENTION_DAYS * 24 * 3600)
    request = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=retention)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
