"""The safety monitor: ends runs that must not be alive, in another process than the one that started them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import structlog

from activities.clock import now as utc_now
from domain.errors import PlatformError, StorageUnavailable
from domain.evaluation import EVALUATION_ID
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import EXECUTION_ALLOWANCE, STAGE_DEADLINES, Stage, is_terminal
from domain.metrics import PATROLS, RUNS_REAPED, RUNS_UNKILLABLE, STOP_SECONDS
from domain.runs import RunPurpose
from storage.journal import Journal
from storage.oversight import Oversight, RunOwner
from worker.identity import is_gone
from workflows.metrics import Instruments

STOP_PATIENCE = timedelta(seconds=2)
"""A stop is first the business of the run's worker, which looks twice a second."""
END_PATIENCE = timedelta(seconds=2)
"""Between the end of an evaluation and that of its last process a moment may pass."""
TRIAL_ALLOWANCE = STAGE_DEADLINES[Stage.SANDBOX_TRIAL] + timedelta(seconds=15)
"""From when the monitor first saw a trial's run: it begins with nobody writing the time down."""

log = structlog.get_logger()


class WatchedSandbox(Protocol):
    """A sandbox as the monitor needs it."""

    async def runs(self) -> tuple[str, ...]:
        """Ids of runs of which something may be alive on this machine."""
        ...

    async def kill(self, run_id: str) -> bool:
        """End whatever is left of a run. Returns whether something was alive. Raises StopUnconfirmed."""
        ...


class Reason(StrEnum):
    """Why a run is ended. Each is what the journal says."""

    STOP_ORDERED = "a stop was ordered, and the run was still alive"
    ENDED = "the evaluation has ended, and a run of it was still alive"
    OWNERLESS = "no evaluation owns this run"
    WORKER_GONE = "the worker that had begun this run is gone"
    OVERDUE = "the run was alive beyond its deadline"


class Seen:
    """Since when the monitor knows of a run, and of its stop: no clock of another machine decides alone."""

    def __init__(self, at: datetime) -> None:
        self.first = at
        self.stop: datetime | None = None
        self.told: set[Reason] = set()


def why_to_end(run_id: str, seen: Seen, owner: RunOwner | None, now: datetime) -> Reason | None:
    """The reason why a run must not go on; None while it may."""
    if owner is None and EVALUATION_ID.fullmatch(evaluation_of(run_id)):
        return Reason.OWNERLESS
    if owner is None:  # a worker that starts tries its sandbox out
        return Reason.OVERDUE if now - seen.first >= TRIAL_ALLOWANCE else None
    if is_terminal(owner.status):
        ended = owner.ended_at or seen.first
        return Reason.ENDED if now - min(ended, seen.first) >= END_PATIENCE else None
    if owner.stopped_at is not None:
        seen.stop = seen.stop or now
        if now - min(owner.stopped_at, seen.stop) >= STOP_PATIENCE:
            return Reason.STOP_ORDERED
    if not run_id.endswith("-execution"):
        return Reason.OVERDUE if now - seen.first >= TRIAL_ALLOWANCE else None
    if owner.worker is not None and is_gone(owner.worker):
        return Reason.WORKER_GONE
    begun = owner.begun_at or seen.first
    overdue = now - begun >= timedelta(seconds=owner.timeout_seconds) + EXECUTION_ALLOWANCE
    return Reason.OVERDUE if overdue else None


class Monitor:
    """Looks at every run of this machine, again and again."""

    def __init__(
        self,
        sandboxes: Sequence[WatchedSandbox],
        oversight: Oversight,
        journal: Journal,
        now: Callable[[], datetime] = utc_now,
        instruments: Instruments | None = None,
    ) -> None:
        self._sandboxes = sandboxes
        self._oversight = oversight
        self._journal = journal
        self._instruments = instruments or Instruments()
        for reason in Reason:  # an increase is seen from a 0 on, not from nothing
            self._instruments.add(RUNS_UNKILLABLE, 0, reason=reason.name.lower())
            self._instruments.add(RUNS_REAPED, 0, reason=reason.name.lower())
        self._now = now
        self._seen: dict[str, Seen] = {}

    async def run(self, every: float) -> None:
        """Patrol until cancelled, with `every` seconds between."""
        while True:
            result = "failed"
            try:
                await self.patrol()
                result = "ended"
            except PlatformError as error:
                log.warning("patrol_failed", code=error.code)
            except Exception as error:
                log.exception("patrol_broke", error=type(error).__name__)
            self._instruments.count(PATROLS, result=result)
            await asyncio.sleep(every)

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
        evaluation_id = evaluation_of(run_id)
        owner, seen = owners.get(evaluation_id), self._seen[run_id]
        reason = why_to_end(run_id, seen, owner, self._now())
        if reason is None:
            return False
        try:
            alive = await sandbox.kill(run_id)
        except PlatformError as error:
            self._instruments.count(RUNS_UNKILLABLE, reason=reason.name.lower())
            await self._tell(
                run_id, reason, f"{reason}; it could not be ended: {error.message}", owned=owner is not None
            )
            return False
        if alive:
            self._count(run_id, reason, owner)
            await self._tell(run_id, reason, f"{reason}: it was ended by the monitor", owned=owner is not None)
        return alive

    def _count(self, run_id: str, reason: Reason, owner: RunOwner | None) -> None:
        self._instruments.count(RUNS_REAPED, reason=reason.name.lower())
        if reason is Reason.STOP_ORDERED and owner is not None and owner.stopped_at is not None:
            seconds = (self._now() - owner.stopped_at).total_seconds()
            purpose = RunPurpose.EXECUTION if run_id.endswith("-execution") else RunPurpose.TRIAL
            self._instruments.observe(STOP_SECONDS, seconds, purpose=purpose.value)

    async def _tell(self, run_id: str, reason: Reason, text: str, *, owned: bool) -> None:
        """Log and journal an act, once for each run and reason."""
        seen, evaluation_id = self._seen[run_id], evaluation_of(run_id)
        if reason in seen.told:
            return
        seen.told.add(reason)
        log.warning("run_ended_by_monitor", evaluation_id=evaluation_id, run=run_id, reason=reason.name.lower())
        if not owned:
            return
        payload = {"stream": "airlock", "text": text}
        entry = NewEntry(at=self._now(), kind=EntryKind.LOG, run=run_id, payload=dict(payload))
        try:
            await self._journal.append(evaluation_id, [entry])
        except StorageUnavailable:
            seen.told.discard(reason)


def evaluation_of(run_id: str) -> str:
    """Whose run it is: ids of evaluations hold no dash."""
    return run_id.partition("-")[0]
