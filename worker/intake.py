"""The intake: takes accepted evaluations from a queue and starts their workflows, each once, however often it comes."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Protocol

import structlog

from domain.errors import PlatformError, QueueUnavailable, StorageUnavailable, WorkflowRefused, WorkflowsUnavailable
from domain.evaluation import Evaluation
from domain.metrics import INTAKE_MESSAGES
from workflows.aws.intake_queue import Delivery, Unreadable
from workflows.metrics import Instruments

if TYPE_CHECKING:
    from workflows.traces import Traces

VISIBILITY_SECONDS = 30
"""How long a message is ours without a word of us. After that another intake gets it: so late is a death noticed."""
EXTEND_EVERY = VISIBILITY_SECONDS / 3
MAX_DELIVERIES = 5
"""More of them, and something about the message ends whoever takes it."""
AWAY_SECONDS = 2.0
"""Between two attempts while Temporal, the database or the queue is away."""

log = structlog.get_logger()


class Queue(Protocol):
    """Where the messages are. Everything raises QueueUnavailable."""

    async def receive(self, *, visibility: int) -> list[Delivery]:
        """Some, or none after a while."""
        ...

    async def extend(self, delivery: Delivery, visibility: int) -> None:
        """Keep it for longer."""
        ...

    async def delete(self, delivery: Delivery) -> None:
        """Take it out."""
        ...

    async def bury(self, delivery: Delivery, reason: str) -> None:
        """Put it where people look."""
        ...


class Accepted(Protocol):
    """The rows of evaluations. Everything raises StorageUnavailable."""

    async def unstarted_one(self, evaluation_id: str) -> Evaluation | None:
        """An accepted evaluation whose workflow nobody has started. Raises RecordMissing."""
        ...

    async def mark_started(self, *evaluation_ids: str) -> None:
        """Note that there is a workflow."""
        ...


class Starter(Protocol):
    """The workflows. Everything raises WorkflowsUnavailable."""

    async def start(self, evaluation: Evaluation) -> object:
        """Start one; one that is there already is fine."""
        ...

    async def ping(self) -> None:
        """Return where any could be started."""
        ...


class _Refused(Exception):
    """Temporal is there, and does not take this evaluation. Its text is the reason."""


class Intake:
    """Takes what comes until it is cancelled; then it finishes or gives back what it has."""

    def __init__(
        self,
        queue: Queue,
        evaluations: Accepted,
        workflows: Starter,
        *,
        instruments: Instruments | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._queue, self._evaluations, self._workflows = queue, evaluations, workflows
        self._instruments = instruments or Instruments()
        self._traces = traces
        self._leaving = asyncio.Event()

    async def run(self) -> None:
        """Take messages until cancelled."""
        taking: asyncio.Task[None] | None = None
        try:
            while True:
                deliveries = await self._received()
                if deliveries:
                    taking = asyncio.create_task(self._take_all(deliveries))
                    await asyncio.shield(taking)
        finally:
            self._leaving.set()
            if taking is not None:
                await taking

    async def _received(self) -> list[Delivery]:
        try:
            return await self._queue.receive(visibility=VISIBILITY_SECONDS)
        except QueueUnavailable as away:
            log.warning("intake_waits", code=away.code, evidence=away.evidence)
            await asyncio.sleep(AWAY_SECONDS)
            return []

    async def _take_all(self, deliveries: list[Delivery]) -> None:
        async with asyncio.TaskGroup() as group:
            for delivery in deliveries:
                group.create_task(self._take(delivery))

    async def _take(self, delivery: Delivery) -> None:
        """One message to its end: started, known, buried, or given back. Raises nothing."""
        keeping = asyncio.create_task(self._keep(delivery))
        try:
            result = await self._result(delivery)
        except PlatformError as away:  # the queue itself: the message comes again
            log.warning("intake_left", code=away.code)
            result = "left"
        except Exception as error:  # noqa: BLE001 - a message that breaks us must not end those beside it
            log.error("intake_broke", error=type(error).__name__)  # noqa: TRY400 - its text may be the message's
            result = "left"
        finally:
            keeping.cancel()
        self._instruments.count(INTAKE_MESSAGES, result=result)

    async def _result(self, delivery: Delivery) -> str:
        try:
            order = delivery.order()
        except Unreadable as unreadable:
            return await self._buried(delivery, str(unreadable))
        if delivery.times > MAX_DELIVERIES:
            return await self._buried(delivery, f"delivered {delivery.times} times without an end")
        with self._traces.continued(order.trace) if self._traces else nullcontext():
            return await self._started(delivery, order.evaluation_id)

    async def _started(self, delivery: Delivery, evaluation_id: str) -> str:
        """Start its workflow, as soon as everything is there for it. Deleted is a message only after that."""
        while True:
            try:
                evaluation = await self._evaluations.unstarted_one(evaluation_id)
                if evaluation is not None:
                    await self._start(evaluation)
                    await self._evaluations.mark_started(evaluation_id)
            except _Refused as refused:
                return await self._buried(delivery, str(refused))
            except (StorageUnavailable, WorkflowsUnavailable) as away:
                log.warning("start_waits", evaluation_id=evaluation_id, code=away.code)
                if not await self._patience():
                    await self._queue.extend(delivery, 0)
                    return "given_back"
            except PlatformError as error:
                return await self._buried(delivery, error.code)
            else:
                break
        await self._queue.delete(delivery)
        log.info("taken_in", evaluation_id=evaluation_id, started=evaluation is not None)
        return "started" if evaluation is not None else "known"

    async def _start(self, evaluation: Evaluation) -> None:
        """Start it. Raises _Refused where Temporal takes others, and not this one: it must not hold up those behind."""
        try:
            await self._workflows.start(evaluation)
        except WorkflowRefused as refused:
            await self._workflows.ping()
            raise _Refused(refused.code) from refused

    async def _patience(self) -> bool:
        """Wait a little. False where we are about to leave."""
        with suppress(TimeoutError):
            async with asyncio.timeout(AWAY_SECONDS):
                await self._leaving.wait()
        return not self._leaving.is_set()

    async def _buried(self, delivery: Delivery, reason: str) -> str:
        await self._queue.bury(delivery, reason)
        log.error("message_buried", reason=reason, deliveries=delivery.times)
        return "buried"

    async def _keep(self, delivery: Delivery) -> None:
        """Keep a message from others for as long as it is at work here."""
        while True:
            await asyncio.sleep(EXTEND_EVERY)
            try:
                await self._queue.extend(delivery, VISIBILITY_SECONDS)
            except QueueUnavailable as away:
                log.warning("message_not_kept", code=away.code)
