"""What happens to an evaluation is pushed to whoever subscribed, in order, and by one process at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api import pushing
from api.event_stream import StreamEnd
from api.pushing import GatewayPoster, Pusher, Told
from api.services import Services
from storage.connections import Connections, GatewayConnection
from storage.keys import ApiKeys, Scope
from tests.api import stories
from tests.api.conftest import submitted
from workflows.aws.signed_http import SignedHttp

C = "DGSykeXooAMCFPQ="


class FakeGateway:
    """Connections that remember what was pushed to them. `gone` have left, `deaf` take nothing now.

    `losing`: does not take what speaks of it. `meanwhile`: happens once, during a push.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []
        self.gone: set[str] = set()
        self.deaf: set[str] = set()
        self.cuts: list[str] = []
        self.losing: str | None = None
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def post(self, connection_id: str, words: dict[str, object]) -> Told:
        if connection_id in self.gone:
            return Told(arrived=False, gone=True)
        if self.meanwhile is not None:
            await self.meanwhile()
            self.meanwhile = None
        if connection_id in self.deaf or (self.losing is not None and _speaks_of(words, self.losing)):
            return Told(arrived=False)
        self.told.append((connection_id, words))
        return Told(arrived=True)

    async def cut(self, connection_id: str) -> None:
        self.cuts.append(connection_id)

    def statuses(self, connection_id: str = C) -> list[str]:
        pushed = (words for to, words in self.told if to == connection_id and words["event"] == "status")
        return [str(words["data"]["payload"]["status"]) for words in pushed]  # type: ignore[index, call-overload]


def _speaks_of(words: dict[str, object], what: str) -> bool:
    return words["event"] == what or f"'status': '{what}'" in str(words)


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


@pytest.mark.parametrize("lost", ["end", "completed"])
async def test_an_end_that_did_not_arrive_is_told_again(
    client: httpx.AsyncClient,
    services: Services,
    gateway: FakeGateway,
    connections: Connections,
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
) -> None:
    evaluation_id = await submitted(client)
    await subscribe(services, evaluation_id)
    await stories.complete(services, evaluation_id, "a result")
    monkeypatch.setattr(pushing, "REST_SECONDS", 0)
    gateway.losing = lost
    pusher = a_pusher(services, gateway)
    await pusher.push()
    before = str(gateway.told)

    gateway.losing = None
    await pusher.push()

    assert f"'{StreamEnd.ENDED}'" not in before
    assert gateway.statuses()[-1] == "completed"
    assert [words["event"] for _, words in gateway.told].count("end") == 1
    assert await connections.watched("one", 10) == []


async def test_more_subscriptions_than_one_look_has_are_all_served(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation_id = await submitted(client)
    names = [f"c{n}=" for n in range(5)]
    for name in names:
        await subscribe(services, evaluation_id, name)
    monkeypatch.setattr(pushing, "WATCHED_AT_MOST", 2)
    pusher = a_pusher(services, gateway)

    for _ in range(3):
        await pusher.push()

    assert [to for to, _ in gateway.told] == names


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (200, Told(arrived=True)),
        (410, Told(arrived=False, gone=True)),
        (404, Told(arrived=False, gone=True)),
        (429, Told(arrived=False)),
        (403, Told(arrived=False)),
        (500, Told(arrived=False)),
        (413, Told(arrived=True)),
    ],
)
async def test_what_a_gateway_answers_is_understood(status: int, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        poster = GatewayPoster(SignedHttp(http, "eu-west-1", "execute-api"), "https://x.example/live/")
        said = await poster.post(C, {"event": "status"})

    assert said == told
    assert [request.url.raw_path for request in asked] == [b"/live/@connections/DGSykeXooAMCFPQ%3D"]


async def test_who_is_told_to_begin_anew_meanwhile_begins_anew(
    client: httpx.AsyncClient, services: Services, gateway: FakeGateway, connections: Connections
) -> None:
    evaluation_id = await submitted(client)
    await subscribe(services, evaluation_id)
    pusher = a_pusher(services, gateway)
    await pusher.push()
    await stories.execute(services, evaluation_id)
    gateway.meanwhile = lambda: connections.subscribe(C, evaluation_id, "tenant-a", 0)
    await pusher.push()
    gateway.told.clear()

    await pusher.push()

    assert gateway.statuses() == ["queued", "pending_validation", "validated", "executing"]


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
