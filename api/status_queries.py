"""Asks workflows how they are, as long as somebody answers."""

from __future__ import annotations

import asyncio

from api.gateway import Workflows
from domain.errors import WorkflowsUnavailable
from domain.evaluation import StatusReport

QUERY_SECONDS = 1.0
SILENT_SECONDS = 5.0
"""After a query that nobody answered: without a worker each one would cost its second. The record knows enough."""


class StatusQueries:
    """The queries of a process. What it remembers is only that nobody answered."""

    def __init__(self, workflows: Workflows) -> None:
        self._workflows = workflows
        self._silent_until = float("-inf")

    async def ask(self, evaluation_id: str) -> StatusReport | None:
        """What a workflow says of itself. None where nobody answers: the record has to do."""
        if asyncio.get_running_loop().time() < self._silent_until:
            return None
        report = None
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                report = await self._workflows.status(evaluation_id)
        except (TimeoutError, WorkflowsUnavailable):
            pass
        if report is None:
            self._silent_until = asyncio.get_running_loop().time() + SILENT_SECONDS
        return report
