"""Stage 3: what a script does, with a canned model."""

from __future__ import annotations

from temporalio import activity

from activities.messages import StageTask
from domain.findings import StageReport


class SandboxTrial:
    """Stage 3: what a script does, with a canned model."""

    @activity.defn
    async def sandbox_trial(self, task: StageTask) -> StageReport:
        """See activities/sandbox_trial.py."""
        raise NotImplementedError
