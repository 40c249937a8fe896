"""Pushes what happens to evaluations to the connections of an API gateway, which holds them in our stead.

At least once: who dies between a push and the note of it is followed by another process, which pushes again. Each event
has its place as its id, by which a client tells a repetition.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol
from urllib.parse import quote

import structlog

from api.cursors import cursor_at
from api.event_stream import END, StreamEnd, event_data
from api.following import ends
from api.journal_feed import ENTRIES_AT_ONCE, Readable
from domain.errors import StorageUnavailable
from domain.journal import Entry, EntryKind
from storage.connections import Connections, Subscription
from storage.keys import ApiKeys
from workflows.aws.signed_http import AwsUnavailable, SignedHttp

LOOK_SECONDS = 0.25
"""Between two looks at the journals of what is watched."""
CLAIM_SECONDS = 1.0
"""Between two claims: how long a new connection waits for its first event."""
LEASE = timedelta(seconds=10)
"""How long the connections of a process that has died wait for another. The processes' clocks may differ by less."""
KEY_CHECK_SECONDS = 30.0
"""How long a revoked key may go on listening."""
WATCHED_AT_MOST = 5000
"""Subscriptions of one look. Where there are more, the next look goes on behind them."""
PUSHES_AT_ONCE = 20
POST_SECONDS = 5.0
REST_SECONDS = 5.0
"""How long a connection is left alone that could not be pushed to."""
PUSHED = frozenset({EntryKind.STATUS, EntryKind.STAGE, EntryKind.STOP})
"""Where an evaluation is. What it prints has a route of its own: a push is a request, and costs one."""
_GONE = frozenset({404, 410})
_TOO_LARGE = 413
"""Of one message alone: a gateway never takes it, and it must not hold up those behind it."""

Found = dict[tuple[str, int], list[Entry]]
"""Entries by their evaluation and the place that they are behind."""

log = structlog.get_logger()


class Told(NamedTuple):
    """What came of a push."""

    arrived: bool
    """False: it is to be pushed again."""
    gone: bool = False


class Poster(Protocol):
    """The way to the connections."""

    async def post(self, connection_id: str, words: dict[str, object]) -> Told:
        """Push one message. Never raises."""
        ...

    async def cut(self, connection_id: str) -> None:
        """End a connection. Never raises."""
        ...


class GatewayPoster:
    """The @connections endpoint of an API Gateway."""

    def __init__(self, http: SignedHttp, endpoint: str) -> None:
        self._http, self._endpoint = http, endpoint.rstrip("/")

    async def post(self, connection_id: str, words: dict[str, object]) -> Told:
        """Push one message."""
        body = json.dumps(words, ensure_ascii=True).encode()
        status = await self._asked("POST", connection_id, body)
        if status is not None and status not in {200, *_GONE}:
            log.warning("push_refused", status=status)
        return Told(arrived=status in {200, _TOO_LARGE}, gone=status in _GONE)

    async def cut(self, connection_id: str) -> None:
        """End a connection."""
        await self._asked("DELETE", connection_id, b"")

    async def _asked(self, method: str, connection_id: str, body: bytes) -> int | None:
        url = f"{self._endpoint}/@connections/{quote(connection_id, safe='')}"
        headers = {"Content-Type": "application/json"}
        try:
            return (await self._http.post(url, body, headers, within=POST_SECONDS, method=method)).status_code
        except AwsUnavailable as away:
            log.warning("push_failed", reason=str(away))
            return None


class Pusher:
    """Pushes for whatever no other process pushes for."""

    def __init__(self, name: str, connections: Connections, journal: Readable, keys: ApiKeys, poster: Poster) -> None:
        self._name, self._connections, self._journal = name, connections, journal
        self._keys, self._poster = keys, poster
        self._claimed_at = self._checked_at = float("-inf")
        self._resting: dict[str, float] = {}
        self._looked_behind: tuple[str, str] | None = None

    async def run(self) -> None:
        """Push until cancelled."""
        while True:
            try:
                await self.push()
            except StorageUnavailable as away:
                log.warning("pushing_waits", code=away.code)
                await asyncio.sleep(CLAIM_SECONDS)
            except Exception as error:  # noqa: BLE001 - a defect of ours must not make every connection mute for good
                log.error("pushing_broke", error=type(error).__name__)  # noqa: TRY400 - its text may be a script's
                await asyncio.sleep(CLAIM_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)

    async def push(self) -> None:
        """Look once, and push what is new. Raises StorageUnavailable."""
        await self._claim()
        watched = await self._connections.watched(self._name, WATCHED_AT_MOST, self._looked_behind)
        self._looked_behind = watched[-1].order if len(watched) == WATCHED_AT_MOST else None
        if not watched:
            return
        await self._cut_revoked(watched)
        now = time.monotonic()
        awake = [each for each in watched if self._resting.get(each.connection_id, 0) <= now]
        found = await self._read(awake)
        waiting: defaultdict[str, list[Subscription]] = defaultdict(list)
        for each in awake:
            waiting[each.connection_id].append(each)
        free = asyncio.Semaphore(PUSHES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for subscriptions in waiting.values():
                group.create_task(self._push_all(subscriptions, found, free))

    async def _read(self, watched: list[Subscription]) -> Found:
        """What is new for each, from its own place on: who is far behind holds up nobody else of its evaluation."""
        places: defaultdict[str, set[int]] = defaultdict(set)
        for each in watched:
            places[each.evaluation_id].add(each.place)
        found: Found = {}
        while places:
            asked = {evaluation_id: waiting.pop() for evaluation_id, waiting in places.items()}
            for evaluation_id, entries in (await self._journal.read_many(asked, ENTRIES_AT_ONCE)).items():
                found[evaluation_id, asked[evaluation_id]] = entries
            places = defaultdict(set, {evaluation_id: left for evaluation_id, left in places.items() if left})
        return found

    async def _claim(self) -> None:
        now = time.monotonic()
        if now - self._claimed_at >= CLAIM_SECONDS:
            self._claimed_at = now
            at = datetime.now(UTC)
            await self._connections.claim(self._name, at, at + LEASE)

    async def _cut_revoked(self, watched: list[Subscription]) -> None:
        now = time.monotonic()
        if now - self._checked_at < KEY_CHECK_SECONDS:
            return
        self._checked_at = now
        self._resting = {each: until for each, until in self._resting.items() if until > now}
        valid = await self._keys.valid(frozenset(each.key_id for each in watched))
        for connection_id in {each.connection_id for each in watched if each.key_id not in valid}:
            await self._connections.close(connection_id)
            await self._poster.cut(connection_id)

    async def _push_all(self, subscriptions: list[Subscription], found: Found, free: asyncio.Semaphore) -> None:
        """Everything new for one connection, in order. What does not arrive waits for the next look."""
        try:
            async with free:
                for each in subscriptions:
                    entries = found.get((each.evaluation_id, each.place))
                    if entries and not await self._push_one(each, entries):
                        return
        except StorageUnavailable as away:  # what was not noted is pushed again
            log.warning("push_not_noted", code=away.code)

    async def _push_one(self, watcher: Subscription, entries: list[Entry]) -> bool:
        """What is new of one evaluation. False where the connection takes nothing now."""
        at: Subscription | None = watcher
        for entry in entries:
            if entry.kind in PUSHED and not await self._arrived(at.connection_id, _words(at.evaluation_id, entry)):
                return False
            if ends(entry):
                return await self._push_end(at, entry)
            if entry.kind in PUSHED or entry is entries[-1]:  # what is passed over is not to be read again
                at = await self._connections.told(at, entry.seq)
                if at is None:  # it was told to begin elsewhere, or to end
                    return True
        return True

    async def _push_end(self, watcher: Subscription, last: Entry) -> bool:
        """That nothing more comes. Noted is the last entry only with it: where it is lost, both are pushed again."""
        place = cursor_at(watcher.evaluation_id, last.seq)
        data = {"evaluation_id": watcher.evaluation_id, "reason": StreamEnd.ENDED.value}
        if not await self._arrived(watcher.connection_id, {"id": place, "event": END, "data": data}):
            return False
        await self._connections.told_the_end(watcher)
        return True

    async def _arrived(self, connection_id: str, words: dict[str, object]) -> bool:
        told = await self._poster.post(connection_id, words)
        if told.gone:
            await self._connections.close(connection_id)
        elif not told.arrived:
            self._resting[connection_id] = time.monotonic() + REST_SECONDS
        return told.arrived


def _words(evaluation_id: str, entry: Entry) -> dict[str, object]:
    place = cursor_at(evaluation_id, entry.seq)
    return {"id": place, "event": entry.kind.value, "data": event_data(evaluation_id, entry)}
