"""Stage 2: what a script means."""

from __future__ import annotations

from temporalio import activity

from activities.messages import StageTask
from domain.findings import StageReport


class StaticAnalysis:
    """Stage 2: what a script means."""

    @activity.defn
    async def static_analysis(self, task: StageTask) -> StageReport:
        """See activities/static_analysis.py."""
        raise NotImplementedError
