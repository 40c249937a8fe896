"""Ends whatever is left of an evaluation's runs, independently of the worker that started them."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import activity

from activities.failures import told_to_temporal
from activities.messages import KillTask
from domain.errors import PlatformError
from sandbox.port import Sandbox


class RunKill:
    """Kills by run id, in every sandbox that this machine has."""

    def __init__(self, sandboxes: Sequence[Sandbox]) -> None:
        self._sandboxes = sandboxes

    @activity.defn
    async def kill_run(self, task: KillTask) -> None:
        """Return when nothing of the runs is alive. Idempotent. Fails as `stop_unconfirmed`, after all were tried."""
        with told_to_temporal():
            failure: PlatformError | None = None
            for run_id in task.run_ids:
                for sandbox in self._sandboxes:
                    try:
                        await sandbox.kill(run_id)
                    except PlatformError as error:
                        failure = failure or error
            if failure is not None:
                raise failure
