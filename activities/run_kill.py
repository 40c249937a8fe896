"""Ends whatever is left of an evaluation's runs."""

from __future__ import annotations

from temporalio import activity

from activities.messages import KillTask


class RunKill:
    """Ends whatever is left of an evaluation's runs."""

    @activity.defn
    async def kill_run(self, task: KillTask) -> None:
        """See activities/run_kill.py."""
        raise NotImplementedError
