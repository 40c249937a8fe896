"""The safety monitor: ends runs that must not be alive, in another process than the one that started them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

import structlog

from activities.clock import now as utc_now
from domain.errors import PlatformError
from domain.metrics import PATROLS
from storage.oversight import Oversight, RunOwner
from worker.acts import Acts
from worker.reasons import Seen, evaluation_of, why_to_end
from workflows.metrics import Instruments

log = structlog.get_logger()


class WatchedSandbox(Protocol):
    """A sandbox as the monitor needs it."""

    async def runs(self) -> tuple[str, ...]:
        """Ids of runs of which something may be alive on this machine."""
        ...

    async def kill(self, run_id: str) -> bool:
        """End whatever is left of a run. Returns whether something was alive. Raises StopUnconfirmed."""
        ...


class Monitor:
    """Looks at every run of this machine, again and again."""

    def __init__(
        self,
        sandboxes: Sequence[WatchedSandbox],
        oversight: Oversight,
        acts: Acts,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._sandboxes = sandboxes
        self._oversight = oversight
        self._acts = acts
        self._now = now
        self._seen: dict[str, Seen] = {}

    async def patrol(self) -> tuple[str, ...]:
        """Look at each run once, and end those that must not be alive. Returns their ids."""
        runs = [(sandbox, run_id) for sandbox in self._sandboxes for run_id in await sandbox.runs()]
        self._remember([run_id for _, run_id in runs])
        if not runs:
            return ()
        owners = await self._oversight.owners(sorted({evaluation_of(run_id) for _, run_id in runs}))
        ended = [run_id for sandbox, run_id in runs if await self._ended(sandbox, run_id, owners)]
        return tuple(ended)

    def _remember(self, run_ids: Sequence[str]) -> None:
        known, now = self._seen, self._now()
        self._seen = {run_id: known.get(run_id) or Seen(now) for run_id in run_ids}

    async def _ended(self, sandbox: WatchedSandbox, run_id: str, owners: Mapping[str, RunOwner]) -> bool:
        owner, seen = owners.get(evaluation_of(run_id)), self._seen[run_id]
        reason = why_to_end(run_id, seen, owner, self._now())
        if reason is None:
            return False
        try:
            alive = await sandbox.kill(run_id)
        except PlatformError as error:
            await self._acts.failed(run_id, seen, reason, owner, error)
            return False
        if alive:
            await self._acts.ended(run_id, seen, reason, owner)
        return alive


async def patrolled(
    patrol: Callable[[], Awaitable[object]],
    every: float,
    instruments: Instruments,
    of: Literal["machine", "pods", "walls"],
) -> None:
    """Patrol until cancelled, with `every` seconds between. What fails is tried again."""
    while True:
        result = "failed"
        try:
            await patrol()
            result = "ended"
        except PlatformError as error:
            log.warning("patrol_failed", of=of, code=error.code)
        except Exception as error:  # a defect of ours must not be the last look at everything that runs
            log.exception("patrol_broke", of=of, error=type(error).__name__)
        instruments.count(PATROLS, of=of, result=result)
        await asyncio.sleep(every)
