"""Stage 4: the one execution."""

from __future__ import annotations

from temporalio import activity

from activities.messages import ExecutionTask
from domain.runs import ExecutionReport


class PodExecution:
    """Stage 4: the one execution."""

    @activity.defn
    async def pod_execution(self, task: ExecutionTask) -> ExecutionReport:
        """See activities/pod_execution.py."""
        raise NotImplementedError
