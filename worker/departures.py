"""Workflows that have left: whether an evaluation's workflow is there, and if not, what it left behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import WorkflowsUnavailable
from domain.evaluation import EvaluationEnd
from workflows.client import is_namespace_missing

_WITHIN = timedelta(seconds=5)


class Departure(NamedTuple):
    """A workflow that is not open. `how` is a word for people; `end` is what it returned, None where it did not."""

    how: str
    end: EvaluationEnd | None = None


class Departures:
    """Asks Temporal itself, which needs no worker for it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, evaluation_id: str) -> Departure | None:
        """How the workflow left, None while it is open. Raises WorkflowsUnavailable."""
        handle = self._client.get_workflow_handle(evaluation_id, result_type=EvaluationEnd)
        try:
            status = (await handle.describe(rpc_timeout=_WITHIN)).status
            if status is WorkflowExecutionStatus.RUNNING:
                return None
            if status is WorkflowExecutionStatus.COMPLETED:
                return Departure("completed", await _result(handle))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and not is_namespace_missing(error):
                return Departure("gone")
            raise WorkflowsUnavailable("Temporal does not answer", str(error)) from error
        return Departure(status.name.lower() if status else "gone")


async def _result(handle: Any) -> EvaluationEnd | None:
    try:
        return await handle.result(follow_runs=False, rpc_timeout=_WITHIN)
    except (WorkflowFailureError, ValueError):  # another release returned something else
        return None
