"""Routes that push what happens to an evaluation: Server-Sent Events, and the same over WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response, WebSocket, WebSocketDisconnect
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from api import presenting
from api.authentication import Reader, authorize
from api.cursors import seq_at
from api.event_stream import HEARTBEAT, EventStream, StreamEvent
from api.examples import EVENTS, answers
from api.owned import owned
from api.rate_limits import StreamSlots
from api.services import Served
from storage.keys import Scope as KeyScope

SEND_SECONDS = 30.0
"""A client that takes nothing for so long is gone."""
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
LINE_END = "\n"
"""As the description shows it: each event has to be told, because one ends its lines by itself otherwise."""
CLOSED_NORMALLY, POLICY_VIOLATION = 1000, 1008

router = APIRouter(prefix=presenting.ROOT, tags=["streams"])
After = Annotated[str | None, Query(max_length=200, description="The id of an event: resumes behind it.")]
LastEventId = Annotated[str | None, Header(max_length=200, description="The same, as browsers send it.")]


@router.get(
    "/{evaluation_id}/events",
    response_class=EventSourceResponse,
    responses=answers(EVENTS, 400, 401, 403, 404, 429, 503, media_type="text/event-stream")
    | {204: {"description": "It has ended, and everything was told: do not come again."}},
)
async def events(
    evaluation_id: str,
    request: Request,
    principal: Reader,
    services: Served,
    after: After = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Statuses, stages, findings and output as they come, from the beginning or from where an earlier stream ended.

    `event:` is the kind of a journal entry (status, stage, log, finding, receipt, stop), `data:` its JSON, `id:` the
    place to resume from. A last event `end` tells why the stream ends: `ended`, `longest_life`, `too_slow`,
    `key_revoked` or `storage_unavailable`. The same comes over WebSocket at `/ws`, as `{"id", "event", "data"}`.
    """
    record = await owned(evaluation_id, principal, services)
    place = seq_at(record, last_event_id or after)
    stream = EventStream(services, record, place, request.headers["authorization"])
    if place and await stream.is_over():
        return Response(status_code=204)
    return _HeldStream(_sent(stream), services.stream_slots, principal.key_id)


@router.websocket("/{evaluation_id}/ws")
async def events_over_websocket(
    websocket: WebSocket, evaluation_id: str, services: Served, after: After = None
) -> None:
    """The same as `events`. The client has nothing to say: a message of its own closes the connection."""
    principal = await authorize(websocket, services, KeyScope.READ)
    record = await owned(evaluation_id, principal, services)
    place = seq_at(record, after)
    stream = EventStream(services, record, place, websocket.headers["authorization"])
    with services.stream_slots.taken(principal.key_id):
        await websocket.accept()
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(_tell(websocket, stream))
            group.create_task(_listen(websocket, telling))


class _HeldStream(EventSourceResponse):
    """An event stream that holds its slot while it is sent."""

    def __init__(self, content: AsyncGenerator[ServerSentEvent], slots: StreamSlots, key_id: str) -> None:
        # a year between its own pings: the heartbeats are ours, because they also check the key and the life
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - sse-starlette takes a bare dict too
            content, headers=STREAM_HEADERS, ping=31_536_000, send_timeout=SEND_SECONDS, sep=LINE_END
        )
        self._slots, self._key_id = slots, key_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises Problem 429 before the first byte where no slot is free."""
        with self._slots.taken(self._key_id):
            await super().__call__(scope, receive, send)


async def _sent(stream: EventStream) -> AsyncGenerator[ServerSentEvent]:
    async with aclosing(stream.events()) as events:
        async for event in events:
            yield _sse(event)


def _sse(event: StreamEvent) -> ServerSentEvent:
    if event.name == HEARTBEAT:
        return ServerSentEvent(comment=HEARTBEAT, sep=LINE_END)
    return ServerSentEvent(data=json.dumps(event.data, ensure_ascii=True), event=event.name, id=event.id, sep=LINE_END)


async def _tell(websocket: WebSocket, stream: EventStream) -> None:
    async with aclosing(stream.events()) as events:
        async for event in events:
            if event.name == HEARTBEAT:  # the server's own pings are the signs of life here
                continue
            words = {"id": event.id, "event": event.name, "data": event.data}
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await websocket.send_text(json.dumps(words, ensure_ascii=True))
            except (TimeoutError, WebSocketDisconnect, RuntimeError):  # gone, or as good as
                return
    with suppress(RuntimeError):
        await websocket.close(CLOSED_NORMALLY)


async def _listen(websocket: WebSocket, telling: asyncio.Task[None]) -> None:
    """End when the client leaves, when it speaks, or when everything was told."""
    hearing = asyncio.ensure_future(websocket.receive())
    await asyncio.wait({hearing, telling}, return_when=asyncio.FIRST_COMPLETED)
    if not hearing.done():
        hearing.cancel()
        return
    telling.cancel()
    if hearing.exception() is None and hearing.result()["type"] == "websocket.receive":
        with suppress(RuntimeError):
            await websocket.close(POLICY_VIOLATION)
