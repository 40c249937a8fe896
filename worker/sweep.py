"""The sweep: finds evaluations that nobody cares for any more, and sees to it that none is stuck or mute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from activities.clock import now as utc_now
from domain.errors import PlatformError, RecordMissing, StopUnconfirmed, WorkflowLost, WorkflowRefused
from domain.evaluation import Cause, Evaluation, EvaluationEnd, StopOrder
from domain.lifecycle import DEADLINES, Status
from domain.metrics import SWEPT
from domain.outcomes import RunOutcome
from domain.retention import Retention
from storage.evaluations import Evaluations
from storage.oversight import Expired, OpenEvaluation, Oversight
from worker.departures import Departure
from workflows.causes import NO_WORKER
from workflows.metrics import Instruments

AT_ONCE = 100
"""Evaluations that one round sees to, of each kind: the next round is soon."""
UNSTARTED_FOR = timedelta(seconds=5)
"""A submission starts its workflow right after the row: who is still without one was forgotten."""
UNHEARD_FOR = timedelta(seconds=3)
"""A workflow acts on a stop at once. Where nothing moves, it is told again."""
QUIET_FOR = timedelta(seconds=20)
"""An evaluation of which nothing is heard: its workflow may have left."""
QUEUED_FOR = DEADLINES[Status.QUEUED] + timedelta(minutes=5)
"""The workflow itself gives up after the first of these, if there is one and somebody performs it."""
STOPPING_FOR = DEADLINES[Status.STOPPING] + timedelta(seconds=15)
"""Likewise."""

log = structlog.get_logger()


class Gateway(Protocol):
    """The workflows, as far as the sweep needs them. Everything raises WorkflowsUnavailable."""

    async def start(self, evaluation: Evaluation) -> object:
        """Start a workflow. One that is there already is fine."""
        ...

    async def stop(self, evaluation_id: str, order: StopOrder) -> bool:
        """Tell a workflow to stop. False where it is not open."""
        ...


class Departed(Protocol):
    """Tells which workflows have left."""

    async def find(self, evaluation_id: str) -> Departure | None:
        """None while it is open. Raises WorkflowsUnavailable."""
        ...


class Sweep:
    """Rounds of five chores. Each act may be repeated, so that several processes may sweep at once."""

    def __init__(
        self,
        evaluations: Evaluations,
        oversight: Oversight,
        workflows: Gateway,
        departures: Departed,
        retention: Retention | None = None,
        now: Callable[[], datetime] = utc_now,
        instruments: Instruments | None = None,
    ) -> None:
        self._evaluations = evaluations
        self._oversight = oversight
        self._workflows = workflows
        self._departures = departures
        self._retention = retention or Retention()
        self._now = now
        self._instruments = instruments or Instruments()
        self._looked_at = ""

    async def run(self, every: float) -> None:
        """Sweep until cancelled, with `every` seconds between rounds."""
        chores = (self.start_forgotten, self.end_overdue, self.repeat_stops, self.end_departed, self.delete_expired)
        while True:
            for chore in chores:
                await self._performed(chore)
            await asyncio.sleep(every)

    async def start_forgotten(self) -> int:
        """Start the workflows of rows that have none. Returns how many."""
        forgotten = await self._evaluations.unstarted(UNSTARTED_FOR, AT_ONCE)
        return sum([await self._saw_to(each.evaluation_id, self._start(each)) for each in forgotten])

    async def end_overdue(self) -> int:
        """End what no worker took in time. Returns how many."""
        overdue = await self._oversight.queued_before(self._now() - QUEUED_FOR, AT_ONCE)
        return sum([await self._saw_to(row.evaluation_id, self._end_unperformed(row)) for row in overdue])

    async def repeat_stops(self) -> int:
        """Tell workflows of stops that they may not have heard, and end stops whose time is over. Returns how many."""
        stopping = await self._oversight.stopping_since(self._now() - UNHEARD_FOR, AT_ONCE)
        return sum([await self._saw_to(row.evaluation_id, self._repeat_stop(row)) for row in stopping])

    async def end_departed(self) -> int:
        """End evaluations whose workflow has left without a word. Returns how many."""
        quiet = await self._oversight.quiet_since(self._now() - QUIET_FOR, self._looked_at, AT_ONCE)
        self._looked_at = quiet[-1].evaluation_id if len(quiet) == AT_ONCE else ""
        return sum([await self._saw_to(row.evaluation_id, self._end_if_departed(row)) for row in quiet])

    async def delete_expired(self) -> int:
        """Delete the payloads of what ended longer ago than its tenant keeps it. Returns how many."""
        expired = await self._oversight.expired(self._retention, self._now(), AT_ONCE)
        return sum([await self._saw_to(each.evaluation_id, self._delete(each)) for each in expired])

    async def _start(self, evaluation: Evaluation) -> bool:
        await self._workflows.start(evaluation)
        await self._evaluations.mark_started(evaluation.evaluation_id)
        log.warning("workflow_started_by_sweep", evaluation_id=evaluation.evaluation_id)
        return True

    async def _end_unperformed(self, row: OpenEvaluation) -> bool:
        message = "no validation worker took it in time"
        await self._end(row, Cause(stage=None, code=NO_WORKER, message=message, retryable=True))
        # whatever may still come to its workflow, nothing is to begin
        await self._workflows.stop(row.evaluation_id, StopOrder(reason=message, by="sweep"))
        return True

    async def _repeat_stop(self, row: OpenEvaluation) -> bool:
        order = row.stop or StopOrder()
        await self._workflows.stop(row.evaluation_id, order)
        if row.updated_at <= self._now() - STOPPING_FOR:
            await self._give_up(row, order)
        return True

    async def _end_if_departed(self, row: OpenEvaluation) -> bool:
        departure = await self._departures.find(row.evaluation_id)
        if departure is None:
            return False
        if departure.end is not None:
            await self._evaluations.conclude(departure.end, self._now())
        else:
            message = f"its workflow has left ({departure.how}) without an end"
            await self._end(row, Cause(stage=row.stage, code=WorkflowLost.code, message=message, retryable=True))
        return True

    async def _delete(self, expired: Expired) -> bool:
        await self._evaluations.delete_payload(expired.tenant, expired.evaluation_id)
        log.info("payload_expired", evaluation_id=expired.evaluation_id)
        return True

    async def _give_up(self, row: OpenEvaluation, order: StopOrder) -> None:
        """End a stop that no workflow ends. It is confirmed where the run has reported; elsewhere nobody knows."""
        if row.reported:
            cause = Cause(stage=row.stage, code="stopped", message=order.reason or "emergency stop")
            end = EvaluationEnd(
                evaluation_id=row.evaluation_id, status=Status.STOPPED, cause=cause, outcome=RunOutcome.STOPPED
            )
            await self._evaluations.conclude(end, self._now())
            return
        message = "a stop was ordered, and nobody could confirm that everything is dead"
        await self._end(row, Cause(stage=row.stage, code=StopUnconfirmed.code, message=message))

    async def _end(self, row: OpenEvaluation, cause: Cause) -> None:
        end = EvaluationEnd(evaluation_id=row.evaluation_id, status=Status.ERROR, cause=cause)
        await self._evaluations.conclude(end, self._now())
        log.warning("evaluation_ended_by_sweep", evaluation_id=row.evaluation_id, code=cause.code)

    async def _saw_to(self, evaluation_id: str, care: Awaitable[bool]) -> bool:
        """Whether one evaluation was seen to. One that cannot be must not keep those behind it waiting for ever."""
        try:
            return await care
        except RecordMissing:
            return False  # deleted meanwhile
        except WorkflowRefused as error:
            log.warning("workflow_refused", evaluation_id=evaluation_id, status=error.evidence)
            return False
        except PlatformError:
            raise  # whoever does not answer for this one answers for no other
        except Exception as error:  # a defect of ours must cost one evaluation, and not those behind it
            log.exception("sweep_broke", evaluation_id=evaluation_id, error=type(error).__name__)
            return False

    async def _performed(self, chore: Callable[[], Awaitable[int]]) -> None:
        """One chore. What fails is tried again in the next round, and keeps no other chore from its work."""
        try:
            if seen_to := await chore():
                self._instruments.add(SWEPT, seen_to, chore=chore.__name__)
        except PlatformError as error:
            log.warning("sweep_failed", chore=chore.__name__, code=error.code)
        except Exception as error:  # nor one chore the others
            log.exception("sweep_broke", chore=chore.__name__, error=type(error).__name__)
