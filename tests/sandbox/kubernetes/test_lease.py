"""Of several processes one holds the Lease, and another one after it is gone: whatever their clocks say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.kubernetes.cluster_errors import ClusterAway, Conflict, NotFound
from sandbox.kubernetes.lease import ACTS_FOR, LEASE_SECONDS, Lease


class Server:
    """Keeps one object, and guards it by its version."""

    def __init__(self) -> None:
        self.object: dict[str, Any] | None = None
        self.is_away = False
        self.version = 0

    async def read(self, path: str) -> dict[str, Any]:  # noqa: ARG002
        if self.is_away:
            raise ClusterAway("away")
        if self.object is None:
            raise NotFound("none", 404)
        return self.object

    async def write(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        if self.is_away:
            raise ClusterAway("away")
        known = (self.object or {"metadata": {}})["metadata"].get("resourceVersion")
        if (method == "POST") != (self.object is None) or body["metadata"].get("resourceVersion") != known:
            raise Conflict("changed meanwhile", 409)
        self.version += 1
        self.object = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.object

    @property
    def holder(self) -> str:
        assert self.object is not None
        return self.object["spec"]["holderIdentity"]


class Clock:
    """A machine's own."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def contender(server: Server, name: str, clock: Clock) -> Lease:
    return Lease(server, "airlock", "monitor", name, clock)


async def test_the_first_one_holds_it_and_the_second_waits() -> None:
    server, clock = Server(), Clock()
    first, second = contender(server, "a", clock), contender(server, "b", clock)

    await first.attempt()
    await second.attempt()

    assert (first.held, second.held, server.holder) == (True, False, "a")


async def test_a_holder_that_renews_keeps_it_for_ever() -> None:
    server, clock = Server(), Clock()
    first, second = contender(server, "a", clock), contender(server, "b", clock)

    for _ in range(50):
        await first.attempt()
        await second.attempt()
        clock.seconds += 1

        assert (first.held, second.held) == (True, False)


async def test_a_holder_that_is_silent_is_followed_by_another() -> None:
    server, clock = Server(), Clock()
    first, second = contender(server, "a", clock), contender(server, "b", clock)
    await first.attempt()
    await second.attempt()

    clock.seconds += LEASE_SECONDS
    await second.attempt()

    assert (second.held, server.holder) == (True, "b")
    assert server.object is not None
    assert server.object["spec"]["leaseTransitions"] == 2


async def test_a_holder_has_ceased_to_act_before_another_may_begin() -> None:
    server, clock = Server(), Clock()
    first, second = contender(server, "a", clock), contender(server, "b", clock)
    await first.attempt()
    await second.attempt()

    for tenth in range(10 * LEASE_SECONDS + 1):
        clock.seconds = tenth / 10
        await second.attempt()

        assert not (first.held and second.held)
    assert second.held
    assert ACTS_FOR < LEASE_SECONDS


@pytest.mark.parametrize("skew", [-1e9, -3600.0, 3600.0, 1e9])
async def test_no_clock_is_compared_with_another(skew: float) -> None:
    server, here, there = Server(), Clock(), Clock(skew)
    first, second = contender(server, "a", here), contender(server, "b", there)
    await first.attempt()

    for _ in range(10):
        await second.attempt()
        assert not second.held
        here.seconds += 1
        there.seconds += 1
        await first.attempt()


async def test_who_sees_an_old_lease_for_the_first_time_waits_its_whole_time() -> None:
    server, clock = Server(), Clock()
    await contender(server, "a", clock).attempt()
    clock.seconds += 1000  # nobody was there to look
    second = contender(server, "b", clock)

    await second.attempt()
    seen_at_once = second.held
    clock.seconds += LEASE_SECONDS
    await second.attempt()

    assert (seen_at_once, second.held) == (False, True)


async def test_a_lease_that_somebody_made_by_hand_is_taken() -> None:
    server, clock = Server(), Clock()
    server.object = {"metadata": {"name": "monitor", "resourceVersion": "0"}}
    lease = contender(server, "a", clock)

    await lease.attempt()

    assert (lease.held, server.holder) == (True, "a")


async def test_of_two_that_take_it_at_once_one_has_it() -> None:
    server, clock = Server(), Clock()
    await contender(server, "a", clock).attempt()
    second, third = contender(server, "b", clock), contender(server, "c", clock)
    await second.attempt()
    await third.attempt()
    clock.seconds += LEASE_SECONDS
    read, stale = server.read, server.object

    await second.attempt()
    server.read = lambda _: _given(stale)  # type: ignore[method-assign, assignment] - it had read before
    with pytest.raises(Conflict):
        await third.attempt()
    server.read = read  # type: ignore[method-assign]

    assert (second.held, third.held) == (True, False)


async def test_a_holder_that_cannot_renew_stops_acting() -> None:
    server, clock = Server(), Clock()
    lease = contender(server, "a", clock)
    await lease.attempt()
    server.is_away = True

    clock.seconds += ACTS_FOR
    with pytest.raises(ClusterAway):
        await lease.attempt()

    assert not lease.held


async def test_who_leaves_lets_another_in_at_once() -> None:
    server, clock = Server(), Clock()
    first, second = contender(server, "a", clock), contender(server, "b", clock)

    async with first.contended():
        while not first.held:
            await _soon()
    await second.attempt()

    assert (first.held, second.held) == (False, True)


async def _given(value: Any) -> Any:
    return value


async def _soon() -> None:
    import asyncio

    await asyncio.sleep(0)
