"""The intake starts each evaluation once, loses none, and puts aside what nobody can take."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from domain.errors import QueueUnavailable, StorageUnavailable, WorkflowRefused, WorkflowsUnavailable
from domain.evaluation import Evaluation
from storage.evaluations import Evaluations
from tests.storage.rows import A, new
from worker import intake
from worker.intake import MAX_DELIVERIES, Intake
from workflows.aws.intake_queue import Delivery, Order


class FakeQueue:
    """A queue in memory, of which a test sees everything. `away`: so many polls fail first."""

    def __init__(self) -> None:
        self.waiting: deque[Delivery] = deque()
        self.deleted: list[str] = []
        self.buried: list[tuple[str, str]] = []
        self.visibilities: list[int] = []
        self.away = 0

    def put(self, body: str, times: int = 1) -> None:
        self.waiting.append(Delivery(receipt=f"r{len(self.waiting)}", body=body, times=times))

    async def receive(self, *, visibility: int) -> list[Delivery]:  # noqa: ARG002 - as the port's
        if self.away:
            self.away -= 1
            raise QueueUnavailable("the queue does not answer")
        if not self.waiting:
            await asyncio.sleep(0.01)
            return []
        taken = list(self.waiting)
        self.waiting.clear()
        return taken

    async def extend(self, delivery: Delivery, visibility: int) -> None:  # noqa: ARG002 - as the port's
        self.visibilities.append(visibility)

    async def delete(self, delivery: Delivery) -> None:
        self.deleted.append(delivery.body)

    async def bury(self, delivery: Delivery, reason: str) -> None:
        self.buried.append((delivery.body, reason))

    @property
    def settled(self) -> int:
        return len(self.deleted) + len(self.buried)


class Starts:
    """Workflows that are started. `away`: so many starts fail first. `slow`: seconds of each. `refused`: never taken.

    `unprepared`: so many pings fail, and no start is taken until then.
    """

    def __init__(self) -> None:
        self.started: list[str] = []
        self.refused: set[str] = set()
        self.unprepared = 0
        self.away = 0
        self.slow = 0.0

    async def ping(self) -> None:
        if self.unprepared:
            self.unprepared -= 1
            raise WorkflowsUnavailable("Temporal is not prepared")

    async def start(self, evaluation: Evaluation) -> None:
        if self.unprepared or evaluation.evaluation_id in self.refused:
            raise WorkflowRefused("Temporal refuses or does not answer", "INVALID_ARGUMENT")
        if self.away:
            self.away -= 1
            raise WorkflowsUnavailable("Temporal does not answer")
        await asyncio.sleep(self.slow)
        self.started.append(evaluation.evaluation_id)


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def starts() -> Starts:
    return Starts()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(intake, "EXTEND_EVERY", 0.05)


@asynccontextmanager
async def working(queue: FakeQueue, evaluations: Evaluations, starts: Starts) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.create_task(Intake(queue, evaluations, starts).run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def an_order(evaluation_id: str = A) -> str:
    return Order(evaluation_id=evaluation_id).model_dump_json()


async def test_an_accepted_evaluation_is_started_marked_and_its_message_deleted(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    await evaluations.submit(new(), None)
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled)

    assert starts.started == [A]
    assert queue.deleted == [an_order()]
    assert await evaluations.unstarted_one(A) is None


async def test_a_message_that_comes_again_starts_nothing(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    await evaluations.submit(new(), None)
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled == 1)
        queue.put(an_order(), times=2)
        await until(lambda: queue.settled == 2)

    assert starts.started == [A]
    assert queue.deleted == [an_order()] * 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not_json"),
        ("not json", "not_json"),
        ("[]", "not_an_order"),
        ('{"evaluation_id": "eval_1"}', "not_an_order"),
        (json.dumps({"evaluation_id": "eval_" + "A" * 26}), "not_an_order"),
        (json.dumps({"evaluation_id": A, "trace": {"a": 1, "b": 2, "c": 3}}), "not_an_order"),
        (json.dumps({"evaluation_id": A, "tenant": "tenant-b"}), "not_an_order"),
        (an_order("eval_" + "z" * 26), "record_missing"),
    ],
)
async def test_what_nobody_can_take_is_buried_with_its_reason(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations, body: str, reason: str
) -> None:
    queue.put(body)

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled)

    assert queue.buried == [(body, reason)]
    assert starts.started == []


async def test_what_has_ended_its_takers_again_and_again_is_buried(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    await evaluations.submit(new(), None)
    queue.put(an_order(), times=MAX_DELIVERIES + 1)

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled)

    assert queue.buried == [(an_order(), "delivered 6 times without an end")]


async def test_while_temporal_is_away_a_message_is_kept_and_not_deleted(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    await evaluations.submit(new(), None)
    starts.away = 5
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: intake.VISIBILITY_SECONDS in queue.visibilities)
        assert queue.settled == 0
        await until(lambda: queue.settled)

    assert starts.started == [A]


async def test_what_temporal_refuses_by_itself_is_put_aside_and_holds_up_nobody(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    other = new("b").evaluation.evaluation_id
    await evaluations.submit(new(), None)
    await evaluations.submit(new("b"), None)
    starts.refused.add(A)
    queue.put(an_order())
    queue.put(an_order(other))

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled == 2)

    assert queue.buried == [(an_order(), "workflow_refused")]
    assert starts.started == [other]


async def test_a_temporal_that_is_not_prepared_buries_nothing(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    await evaluations.submit(new(), None)
    starts.unprepared = 3
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled)

    assert (queue.buried, starts.started) == ([], [A])


async def test_while_the_database_is_away_a_message_is_kept_and_started_once(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await evaluations.submit(new(), None)
    times = {"unstarted_one": 2, "mark_started": 2}

    def away_at_first(name: str) -> Callable[..., Awaitable[object]]:
        method = getattr(evaluations, name)

        async def called(*args: str) -> object:
            if times[name]:
                times[name] -= 1
                raise StorageUnavailable("the database does not answer")
            return await method(*args)

        return called

    for name in times:
        monkeypatch.setattr(evaluations, name, away_at_first(name))
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled)

    assert set(starts.started) == {A}  # asked for again where it could not be noted: that starts nothing twice
    assert times == {"unstarted_one": 0, "mark_started": 0}
    assert queue.deleted == [an_order()]


async def test_a_slow_start_keeps_its_message_from_others(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    await evaluations.submit(new(), None)
    starts.slow = 0.5
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled)

    assert len(queue.visibilities) >= 2
    assert set(queue.visibilities) == {intake.VISIBILITY_SECONDS}


async def test_who_leaves_while_temporal_is_away_gives_the_message_back_at_once(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    await evaluations.submit(new(), None)
    starts.away = 10_000
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: starts.away < 10_000)

    assert queue.visibilities[-1] == 0
    assert queue.settled == 0


@pytest.mark.slow
async def test_who_leaves_finishes_what_it_has_begun(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations
) -> None:
    await evaluations.submit(new(), None)
    starts.slow = 0.3
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: not queue.waiting)
        await asyncio.sleep(0.05)

    assert starts.started == [A]
    assert queue.deleted == [an_order()]


async def test_a_queue_that_was_away_is_asked_again(queue: FakeQueue, starts: Starts, evaluations: Evaluations) -> None:
    await evaluations.submit(new(), None)
    queue.away = 3
    queue.put(an_order())

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled)

    assert starts.started == [A]


async def test_one_that_breaks_does_not_end_those_beside_it(
    queue: FakeQueue, starts: Starts, evaluations: Evaluations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await evaluations.submit(new("a"), None)
    await evaluations.submit(new("b"), None)
    start = starts.start

    async def breaking(evaluation: Evaluation) -> None:
        if evaluation.evaluation_id == A:
            raise RuntimeError("a defect")
        await start(evaluation)

    monkeypatch.setattr(starts, "start", breaking)
    for name in ("a", "b"):
        queue.put(an_order(new(name).evaluation.evaluation_id))

    async with working(queue, evaluations, starts):
        await until(lambda: queue.settled)

    assert queue.deleted == [an_order(new("b").evaluation.evaluation_id)]
    assert queue.buried == []
