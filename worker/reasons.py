"""Why a run must not be alive: what the monitor knows of it, and the reason to end it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from domain.evaluation import EVALUATION_ID
from domain.lifecycle import EXECUTION_ALLOWANCE, STAGE_DEADLINES, Stage, is_terminal
from storage.oversight import RunOwner
from worker.identity import is_gone

STOP_PATIENCE = timedelta(seconds=2)
"""A stop is first the business of the run's worker, which looks twice a second."""
END_PATIENCE = timedelta(seconds=2)
"""Between the end of an evaluation and that of its last process a moment may pass."""
TRIAL_ALLOWANCE = STAGE_DEADLINES[Stage.SANDBOX_TRIAL] + timedelta(seconds=15)
"""From when the monitor first saw a trial's run: it begins with nobody writing the time down."""


class Reason(StrEnum):
    """Why a run is ended. Each is what the journal says."""

    STOP_ORDERED = "a stop was ordered, and the run was still alive"
    ENDED = "the evaluation has ended, and a run of it was still alive"
    OWNERLESS = "no evaluation owns this run"
    WORKER_GONE = "the worker that had begun this run is gone"
    OVERDUE = "the run was alive beyond its deadline"
    # What a watch shows of a pod
    RESTARTED = "the container of the run was started again"
    CHANGED = "the pod of the run is not what was ordered"
    DEADLINE_PASSED = "the pod of the run outlived its own deadline"
    LEASE_EXPIRED = "the run was not over when its lease was"
    UNPROVEN = "the run did not prove its isolation in time"
    NETWORK_OPEN = "the network around the run is not closed"
    UNBOUNDED = "the runs around this one have no quota"


class Seen:
    """Since when the monitor knows of a run, and of its stop: no clock of another machine decides alone."""

    def __init__(self, at: datetime) -> None:
        self.first = at
        self.stop: datetime | None = None
        self.told: set[str] = set()


def evaluation_of(run_id: str) -> str:
    """Whose run it is: ids of evaluations hold no dash."""
    return run_id.partition("-")[0]


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
