"""One execution environment of the function: what lives from one event to the next, and what a freeze has ended.

Between two events it is frozen: no task runs, no timer ends, whoever was at the other end of a connection hangs up.
So nothing is left to a background, and after a pause the connections are made anew before they are needed.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol, cast

import structlog
from mangum import Mangum
from sqlalchemy.exc import ProgrammingError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import create_app
from api.problems import problem_response
from api.serverless import refusals
from api.serverless.settings import ServerlessSettings
from api.serverless.sockets import Sockets, is_socket_event
from api.serverless.wiring import Parts, opened
from api.wiring import tracing
from detection.policy_file import PolicyError
from domain.errors import PlatformError
from storage.catalogues import CatalogueError
from storage.database import UnknownDatabase
from storage.rights import RightsMissing
from storage.schema import SchemaMismatch

if TYPE_CHECKING:
    from workflows.traces import Traces

FROZEN_AFTER_SECONDS = 10.0
"""A pause of so long may have been a freeze. A new connection costs some milliseconds, a dead one seconds."""
LAST_SECONDS = 1.0
"""Of an event's time, left for an answer that says that the rest was not enough."""
LONGEST_SECONDS = 27.0
"""API Gateway waits for 29."""
TEXT = ["application/json", "application/problem+json", "text/"]
_CANNOT_START = (CatalogueError, PolicyError, UnknownDatabase, SchemaMismatch, RightsMissing)

OpenParts = Callable[[ServerlessSettings, "Traces | None"], AbstractAsyncContextManager[Parts]]

log = structlog.get_logger()


class Context(Protocol):
    """What Lambda tells of an invocation, as far as it is asked."""

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is ended."""
        ...


class Instance:
    """Answers events, one at a time. It has an event loop of its own, which stands still between them."""

    def __init__(self, settings: ServerlessSettings, open_parts: OpenParts = opened) -> None:
        self._settings, self._open_parts = settings, open_parts
        self._loop = asyncio.new_event_loop()
        self._lifetimes = AsyncExitStack()
        self._parts: Parts | None = None
        self._sockets: Sockets | None = None
        self._http: Mangum | None = None
        self._traces: Traces | None = None
        self._answered_at = time.time()

    def handle(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """The answer to an event of API Gateway: an HTTP request (payload 2.0), or something about a WebSocket."""
        asyncio.set_event_loop(self._loop)  # Mangum runs on the current one
        try:
            self._loop.run_until_complete(self._awake())
            return self._answer(event, context)
        except _CANNOT_START as error:
            log.error("cannot_start", told=str(error))  # noqa: TRY400 - one sentence for the operator
        except ProgrammingError:
            log.error("cannot_start", told="The database refuses the API's user: run `airlock admin setup --grant`.")  # noqa: TRY400
        except PlatformError as error:
            log.warning("part_away", code=error.code, evidence=error.evidence)
        except Exception as error:  # the last resort: the client gets an answer
            log.exception("event_broke", error=type(error).__name__)
        finally:
            if self._traces is not None:
                self._traces.flush()
            self._answered_at = time.time()
        return _unserved(503, "unavailable", "Nothing was done: the service cannot work just now. Try again later.")

    def close(self) -> None:
        """End everything. Lambda itself never asks for it."""
        self._loop.run_until_complete(self._lifetimes.aclose())
        self._loop.close()

    def _answer(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        assert self._sockets is not None
        assert self._http is not None
        if is_socket_event(event):
            return self._loop.run_until_complete(self._sockets.answer(event))
        if not _can_be_read(event):
            return _unserved(400, "invalid_request", "The body is not what the gateway says of it: text, or base64.")
        return self._http(_as_served(event), cast("Any", context))

    async def _awake(self) -> None:
        """Have the parts, with connections that are alive. What failed to open is tried again with the next event."""
        if self._parts is None:
            await self._open()
        elif time.time() - self._answered_at > FROZEN_AFTER_SECONDS:  # by the wall: other clocks may be frozen too
            self._parts.gateway.renew()
            await self._parts.services.database.reconnect()
            log.info("connections_renewed")

    async def _open(self) -> None:
        async with AsyncExitStack() as lifetimes:
            traces = await lifetimes.enter_async_context(tracing(self._settings, "function"))
            parts = await lifetimes.enter_async_context(self._open_parts(self._settings, traces))
            app = create_app(parts.services, "requests", traces=traces, more=(refusals.router,))
            self._http = Mangum(_InTime(app), lifespan="off", text_mime_types=TEXT)
            self._sockets = Sockets(parts.services, parts.connections)
            self._parts, self._traces = parts, traces
            self._lifetimes = lifetimes.pop_all()


def _as_served(event: Mapping[str, Any]) -> dict[str, Any]:
    """An HTTP request without the name of its stage, which a gateway puts before the path unless it is `$default`."""
    context: dict[str, Any] = event["requestContext"]
    if "http" not in context:  # not one of ours: Mangum says so
        return dict(event)
    path, stage = str(context["http"]["path"]), f"/{context.get('stage')}/"
    http = context["http"] | {"path": path.removeprefix(stage[:-1]) if path.startswith(stage) else path}
    sent = cast("Mapping[str, object]", event.get("headers") or {})
    headers = {name: value for name, value in sent.items() if isinstance(value, str)}  # Mangum breaks of a null
    return {**event, "requestContext": context | {"http": http}, "headers": headers}


def _can_be_read(event: Mapping[str, Any]) -> bool:
    """Whether the body is text, or base64 where the event says so. Mangum breaks of anything else."""
    body: object = event.get("body") or ""
    if not isinstance(body, str):
        return False
    try:
        words = body.encode()
        if event.get("isBase64Encoded"):
            base64.b64decode(words, validate=True)
    except ValueError:  # half a surrogate pair, or no base64
        return False
    return True


class _InTime:
    """Answers before time is up, whatever the app is still waiting for: whoever is cut off learns nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = scope["aws.context"].get_remaining_time_in_millis() / 1000 - LAST_SECONDS
        begun = False

        async def told(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(max(0.0, min(left, LONGEST_SECONDS))):
                await self._app(scope, receive, told)
        except TimeoutError:
            if begun:
                raise
            response = problem_response(503, "too_slow", "It was not done in time. Look before you try again.", "")
            response.headers["Retry-After"] = "5"
            await response(scope, receive, send)


def _unserved(status: int, code: str, detail: str) -> dict[str, Any]:
    """A problem without an app to tell it."""
    response = problem_response(status, code, detail, "")
    headers = {"content-type": "application/problem+json", **({"retry-after": "5"} if status == 503 else {})}
    return {"statusCode": status, "headers": headers, "body": bytes(response.body).decode(), "isBase64Encoded": False}
