from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.event_stream import EventStream
from api.journal_feed import LIVELY_SECONDS
from api.rate_limits import StreamSlots
from api.services import Services
from api.settings import ApiSettings
from storage.keys import ApiKeys
from tests.api import stories
from tests.api.conftest import EVERYTHING, ROOT, listening, submitted
from tests.api.event_reading import DEADLINE, Event, stream, texts


async def test_a_stream_tells_all_from_the_beginning_to_the_end(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    await stories.print_lines(services, evaluation_id, "one", "two")

    async with listening(services) as url:
        watching = asyncio.create_task(stream(f"{url}{ROOT}/{evaluation_id}/events", client.headers))
        await asyncio.sleep(0.3)
        await stories.print_lines(services, evaluation_id, "three", first=3)
        await client.post(f"{ROOT}/{evaluation_id}/stop")
        await stories.conclude_stop(services, evaluation_id)
        events = await watching

    statuses = [event.data["payload"]["status"] for event in events if event.name == "status"]
    assert statuses == ["queued", "pending_validation", "validated", "executing", "stopping", "stopped"]
    assert texts(events) == ["one", "two", "three"]
    assert (events[-1].name, events[-1].data) == ("end", {"reason": "ended"})


async def test_lines_of_a_stream_end_as_its_description_shows(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await client.post(f"{ROOT}/{evaluation_id}/stop")
    await stories.conclude_stop(services, evaluation_id)

    told = await client.get(f"{ROOT}/{evaluation_id}/events")

    assert told.text.endswith('event: end\ndata: {"reason": "ended"}\n\n')
    assert "\r" not in told.text


async def test_a_stream_lets_others_in_between_any_two_events(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    await stories.print_lines(services, evaluation_id, *map(str, range(50)))
    await client.post(f"{ROOT}/{evaluation_id}/stop")
    await stories.conclude_stop(services, evaluation_id)
    record = await services.evaluations.find(evaluation_id)
    assert record is not None
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    told = [turns async for _ in EventStream(services, record, 0, client.headers["authorization"]).events()]
    counting.cancel()

    assert len(told) > 50
    assert sorted(set(told)) == told


async def test_a_cut_stream_resumes_without_loss_or_double(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    lines = [f"{n}" for n in range(300)]
    await stories.print_lines(services, evaluation_id, *lines)
    await client.post(f"{ROOT}/{evaluation_id}/stop")
    await stories.conclude_stop(services, evaluation_id)

    seen: list[Event] = []
    async with listening(services) as url:
        while not seen or seen[-1].name != "end":
            after = seen[-1].id if seen else ""
            seen += await stream(f"{url}{ROOT}/{evaluation_id}/events", client.headers, after, stop_after=37)

    assert texts(seen) == lines


async def test_a_stream_that_was_told_everything_is_not_opened_again(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.complete(services, evaluation_id)

    async with listening(services) as url:
        events = await stream(f"{url}{ROOT}/{evaluation_id}/events", client.headers)
        again = await stream(f"{url}{ROOT}/{evaluation_id}/events", client.headers, events[-1].id)

    assert again == []


async def test_watchers_who_join_at_any_moment_see_the_same(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)

    async with listening(services) as url:
        watching: list[asyncio.Task[list[Event]]] = []
        for n in range(12):
            watching.append(asyncio.create_task(stream(f"{url}{ROOT}/{evaluation_id}/events", client.headers)))
            await stories.print_lines(services, evaluation_id, *(f"{n}.{m}" for m in range(20)), first=1 + n * 20)
            await asyncio.sleep(0.02)
        await client.post(f"{ROOT}/{evaluation_id}/stop")
        await stories.conclude_stop(services, evaluation_id)
        seen = [texts(events) for events in await asyncio.gather(*watching)]

    assert seen == [[f"{n}.{m}" for n in range(12) for m in range(20)]] * 12


async def test_all_watchers_together_cost_one_query_at_a_time(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    evaluation_id = await submitted(client)
    asked: list[int] = []
    read_many = services.journal.read_many

    async def counted(after: Any, limit: int) -> Any:
        asked.append(len(after))
        return await read_many(after, limit)

    monkeypatch.setattr(services.journal, "read_many", counted)
    async with listening(services) as url:
        place = f"{url}{ROOT}/{evaluation_id}/events"
        began = time.monotonic()
        watching = [asyncio.create_task(stream(place, client.headers)) for _ in range(20)]
        watches = services.feed._watches  # pyright: ignore[reportPrivateUsage]
        while len(watches.get(evaluation_id, ())) < 20:  # noqa: ASYNC110 - its own business
            await asyncio.sleep(0.01)
        await asyncio.sleep(4 * LIVELY_SECONDS)
        await client.post(f"{ROOT}/{evaluation_id}/stop")
        await stories.conclude_stop(services, evaluation_id)
        await asyncio.gather(*watching)
        most = (time.monotonic() - began) / LIVELY_SECONDS + 1

    assert 0 < len(asked) <= most
    assert set(asked) == {1}


async def test_nothing_is_read_while_nobody_watches(services: Services, monkeypatch: pytest.MonkeyPatch):
    reads = 0

    async def counted(_after: Any, _limit: int) -> Any:
        nonlocal reads
        reads += 1
        return {}

    monkeypatch.setattr(services.journal, "read_many", counted)
    async with services.feed.watching("eval_" + "a" * 26, 0), asyncio.timeout(DEADLINE):
        while not reads:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)
    await asyncio.sleep(4 * LIVELY_SECONDS)
    before = reads
    await asyncio.sleep(4 * LIVELY_SECONDS)

    assert reads == before


async def test_a_stream_has_a_longest_life(client: httpx.AsyncClient, services: Services, settings: ApiSettings):
    evaluation_id = await submitted(client)
    brief = replace(services, settings=settings.model_copy(update={"stream_seconds": 0.3}))

    async with listening(brief) as url:
        events = await stream(f"{url}{ROOT}/{evaluation_id}/events", client.headers)

    assert events[-1].data == {"reason": "longest_life"}


async def test_a_quiet_stream_gives_signs_of_life(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)

    async with (
        listening(services) as url,
        httpx.AsyncClient(headers=client.headers) as watcher,
        asyncio.timeout(DEADLINE),
        watcher.stream("GET", f"{url}{ROOT}/{evaluation_id}/events") as response,
    ):
        beats = 0
        async for line in response.aiter_lines():
            beats += line.startswith(":")
            if beats >= 3:
                break

    assert beats == 3


async def test_a_key_holds_so_many_streams_and_gets_them_back(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    few = replace(services, stream_slots=StreamSlots(1))

    async with listening(few) as url, httpx.AsyncClient(headers=client.headers) as watcher:
        place = f"{url}{ROOT}/{evaluation_id}/events"
        async with watcher.stream("GET", place) as first:
            refused = await watcher.get(place)
            assert first.status_code == 200
        async with asyncio.timeout(DEADLINE):
            while True:
                async with watcher.stream("GET", place) as again:
                    if again.status_code == 200:
                        break
                await asyncio.sleep(0.05)

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    assert "retry-after" in refused.headers


async def test_a_revoked_key_stops_listening(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    evaluation_id = await submitted(client)
    monkeypatch.setattr("api.event_stream.KEY_CHECK_SECONDS", 0.1)
    key = await ApiKeys(services.database).create("tenant-a", "test", EVERYTHING, None)
    record = await services.evaluations.find(evaluation_id)
    assert record is not None
    stream = EventStream(services, record, 0, f"Bearer {key.secret}")

    await services.keys.revoke(key.key_id)
    async with asyncio.timeout(DEADLINE):
        events = [event async for event in stream.events()]

    assert events[-1].data == {"reason": "key_revoked"}


async def test_a_slow_watcher_is_dropped_and_told_why(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    monkeypatch.setattr("api.journal_feed.MAX_BEHIND", 10)
    record = await services.evaluations.find(evaluation_id)
    assert record is not None
    told: list[str] = []
    reasons: list[Any] = []

    async with asyncio.timeout(DEADLINE):
        async for event in EventStream(services, record, 0, client.headers["authorization"]).events():
            told.append(event.name)
            if event.name == "heartbeat" and told.count("heartbeat") == 1:  # it has joined, and now it sleeps
                await stories.print_lines(services, evaluation_id, *(f"{n}" for n in range(30)))
                await asyncio.sleep(0.6)
            reasons = [event.data]

    assert reasons == [{"reason": "too_slow"}]
