"""What happens to an evaluation is pushed to whoever subscribed, in order, and by one process at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api import pushing
from api.pushing import Pusher, Told
from api.services import Services
from storage.connections import Connections, GatewayConnection
from storage.keys import ApiKeys, Scope
from tests.api import stories
from tests.api.conftest import submitted

C = "DGSykeXooAMCFPQ="


class FakeGateway:
    """Connections that remember what was pushed to them. `gone` have left, `deaf` take nothing now."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []
        self.gone: set[str] = set()
        self.deaf: set[str] = set()
        self.cuts: list[str] = []

    async def post(self, connection_id: str, words: dict[str, object]) -> Told:
        if connection_id in self.gone:
            return Told(arrived=False, gone=True)
        if connection_id in self.deaf:
            return Told(arrived=False)
        self.told.append((connection_id, words))
        return Told(arrived=True)

    async def cut(self, connection_id: str) -> None:
        self.cuts.append(connection_id)

    def statuses(self, connection_id: str = C) -> list[str]:
        pushed = (words for to, words in self.told if to == connection_id and words["event"] == "status")
        return [str(words["data"]["payload"]["status"]) for words in pushed]  # type: ignore[index, call-overload]


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def connections(services: Services) -> Connections:
    return Connections(services.database)


def a_pusher(services: Services, gateway: FakeGateway, name: str = "one") -> Pusher:
    return Pusher(name, Connections(services.database), services.journal, services.keys, gateway)


async def subscribe(services: Services, evaluation_id: str, connection_id: str = C, place: int = 0) -> str:
    """Connect and subscribe; the key's id."""
    key = await ApiKeys(services.database).create("tenant-a", "test", frozenset(Scope), None)
    connections, now = Connections(services.database), datetime.now(UTC)
    opened = GatewayConnection(
        connection_id=connection_id, tenant="tenant-a", key_id=key.key_id, expires_at=now + timedelta(hours=2)
    )
    assert await connections.open(opened, 10, now)
    assert await connections.subscribe(connection_id, evaluation_id, "tenant-a", place)
    return key.key_id


async def test_a_subscriber_is_told_every_status_to_the_end_and_then_no_more(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, connections: Connections
) -> None:
    evaluation_id = await submitted(client)
    await subscribe(services, evaluation_id)
    pusher = a_pusher(services, gateway)
    await pusher.push()
    await stories.complete(services, evaluation_id, "a result")

    for _ in range(3):
        await pusher.push()

    assert gateway.statuses() == ["queued", "pending_validation", "validated", "executing", "completed"]
    assert gateway.told[-1][1]["data"] == {"evaluation_id": evaluation_id, "reason": "ended"}
    assert await connections.watched("one", 10) == []


async def test_what_a_script_prints_is_not_pushed(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway
) -> None:
    evaluation_id = await submitted(client)
    await subscribe(services, evaluation_id)
    await stories.execute(services, evaluation_id)
    await stories.print_lines(services, evaluation_id, "words of a script")

    await a_pusher(services, gateway).push()

    assert gateway.told
    assert "words of a script" not in str(gateway.told)


async def test_who_resumes_is_told_what_comes_behind(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway
) -> None:
    evaluation_id = await submitted(client)
    await subscribe(services, evaluation_id, place=1)
    await stories.execute(services, evaluation_id)

    await a_pusher(services, gateway).push()

    assert gateway.statuses()[0] == "pending_validation"


async def test_of_two_processes_one_pushes(client: httpx.AsyncClient, services: Services, gateway: FakeGateway) -> None:
    await subscribe(services, await submitted(client))

    for name in ("one", "two"):
        await a_pusher(services, gateway, name).push()

    assert gateway.statuses() == ["queued"]


async def test_another_follows_a_process_that_has_died(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation_id = await submitted(client)
    await subscribe(services, evaluation_id)
    monkeypatch.setattr(pushing, "LEASE", timedelta(0))
    await a_pusher(services, gateway, "one").push()
    await stories.execute(services, evaluation_id)

    await a_pusher(services, gateway, "two").push()

    assert gateway.statuses() == ["queued", "pending_validation", "validated", "executing"]


async def test_who_has_gone_is_forgotten(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, connections: Connections
) -> None:
    await subscribe(services, await submitted(client))
    gateway.gone.add(C)

    await a_pusher(services, gateway).push()

    assert await connections.find(C) is None


async def test_who_takes_nothing_now_is_told_later_and_holds_up_nobody(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation_id = await submitted(client)
    for connection_id in ("deaf=", "fine="):
        await subscribe(services, evaluation_id, connection_id)
    monkeypatch.setattr(pushing, "REST_SECONDS", 0)
    gateway.deaf.add("deaf=")
    pusher = a_pusher(services, gateway)
    await pusher.push()
    before = (gateway.statuses("deaf="), gateway.statuses("fine="))

    gateway.deaf.clear()
    await pusher.push()

    assert before == ([], ["queued"])
    assert gateway.statuses("deaf=") == ["queued"]


async def test_a_revoked_key_is_cut_off(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, connections: Connections
) -> None:
    key_id = await subscribe(services, await submitted(client))
    await services.keys.revoke(key_id)

    await a_pusher(services, gateway).push()

    assert gateway.cuts == [C]
    assert await connections.find(C) is None


async def test_what_has_expired_is_forgotten_without_a_word_of_the_gateway(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, connections: Connections
) -> None:
    evaluation_id, now = await submitted(client), datetime.now(UTC)
    old = GatewayConnection(connection_id=C, tenant="tenant-a", key_id="key_x", expires_at=now - timedelta(seconds=1))
    await connections.open(old, 10, now)
    await connections.subscribe(C, evaluation_id, "tenant-a", 0)

    await a_pusher(services, gateway).push()

    assert gateway.told == []
    assert await connections.find(C) is None


async def test_a_newcomer_to_a_long_journal_holds_up_nobody(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    await stories.print_lines(services, evaluation_id, *(f"line {n}" for n in range(20)))
    monkeypatch.setattr(pushing, "ENTRIES_AT_ONCE", 3)
    record = await services.evaluations.find(evaluation_id)
    assert record is not None
    await subscribe(services, evaluation_id, "late=", place=record.last_seq)
    await subscribe(services, evaluation_id, "new=")
    await stories.conclude_stop(services, evaluation_id)

    await a_pusher(services, gateway).push()

    assert gateway.statuses("late=") == ["stopping", "stopped"]
    assert gateway.statuses("new=") == ["queued", "pending_validation", "validated"]
