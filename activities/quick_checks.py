"""Stage 1: what a script's bytes and names say."""

from __future__ import annotations

from temporalio import activity

from activities.messages import StageTask
from domain.findings import StageReport


class QuickChecks:
    """Stage 1: what a script's bytes and names say."""

    @activity.defn
    async def quick_checks(self, task: StageTask) -> StageReport:
        """See activities/quick_checks.py."""
        raise NotImplementedError
