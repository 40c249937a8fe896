"""What the monitors did: counted, and told once in the log and in the journal of the evaluation that it was done to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from activities.clock import now as utc_now
from domain.errors import PlatformError, RecordMissing, StorageUnavailable
from domain.journal import EntryKind, NewEntry
from domain.metrics import RUNS_REAPED, RUNS_UNKILLABLE, STOP_SECONDS
from domain.runs import RunPurpose
from storage.journal import Journal
from storage.oversight import RunOwner
from worker.reasons import Reason, Seen, evaluation_of
from workflows.metrics import Instruments

log = structlog.get_logger()


class Acts:
    """A record of what was done. `owner` is None where no evaluation owns the run: then only the log is told."""

    def __init__(
        self, journal: Journal, instruments: Instruments | None = None, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._journal = journal
        self._now = now
        self._instruments = instruments or Instruments()
        for reason in Reason:  # an increase is seen from a 0 on, not from nothing
            self._instruments.add(RUNS_UNKILLABLE, 0, reason=reason.name.lower())
            self._instruments.add(RUNS_REAPED, 0, reason=reason.name.lower())

    async def ordered(self, run_id: str, seen: Seen, reason: Reason, owner: RunOwner | None) -> None:
        """A stop was signalled."""
        await self._tell(run_id, seen, reason, f"{reason}: a stop was ordered by the monitor", owner)

    async def ended(self, run_id: str, seen: Seen, reason: Reason, owner: RunOwner | None) -> None:
        """Something of the run was alive, and is not any more."""
        self._instruments.count(RUNS_REAPED, reason=reason.name.lower())
        if reason is Reason.STOP_ORDERED and owner is not None and owner.stopped_at is not None:
            seconds = (self._now() - owner.stopped_at).total_seconds()
            purpose = RunPurpose.EXECUTION if run_id.endswith("-execution") else RunPurpose.TRIAL
            self._instruments.observe(STOP_SECONDS, seconds, purpose=purpose.value)
        await self._tell(run_id, seen, reason, f"{reason}: it was ended by the monitor", owner)

    async def failed(
        self, run_id: str, seen: Seen, reason: Reason, owner: RunOwner | None, error: PlatformError
    ) -> None:
        """It could not be ended."""
        self._instruments.count(RUNS_UNKILLABLE, reason=reason.name.lower())
        await self._tell(run_id, seen, reason, f"{reason}; it could not be ended: {error.message}", owner)

    async def _tell(self, run_id: str, seen: Seen, reason: Reason, text: str, owner: RunOwner | None) -> None:
        if text in seen.told:
            return
        seen.told.add(text)
        evaluation_id = evaluation_of(run_id)
        log.warning("monitor_acted", evaluation_id=evaluation_id, run=run_id, reason=reason.name.lower(), told=text)
        if owner is None:
            return
        entry = NewEntry(at=self._now(), kind=EntryKind.LOG, run=run_id, payload={"stream": "airlock", "text": text})
        try:
            await self._journal.append(evaluation_id, [entry])
        except StorageUnavailable:
            seen.told.discard(text)
        except RecordMissing:
            pass  # deleted meanwhile
