"""ASGI middleware that bounds a request's body while it comes in: in bytes, before it is read whole, and in time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, problem_response

BODY_SECONDS = 30.0
"""How long a body may take. A megabyte in this time is 35 KB/s."""
LINGER_SECONDS = 2.0
LINGER_BYTES = 32 * 1024 * 1024
"""What is thrown away after a 413: who closes on somebody still sending makes them lose the answer."""


class BodyLimit:
    """Answers 413 at once where the length is declared, and at the first byte too many where it is not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, send, self._max_bytes)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > self._max_bytes):
            problem = _too_large(self._max_bytes)
            request_id = str(scope.get("airlock.request_id", ""))
            response = problem_response(413, problem.code, problem.detail, request_id, problem)
            await response(scope, body.receive, body.send)
            return
        await self._app(scope, body.receive, body.send)


class _Body:
    """The body of one request, and the answer to it as far as the body matters there."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int) -> None:
        self._receive, self._send, self._max_bytes = receive, send, max_bytes
        self._ends_at = asyncio.get_running_loop().time() + BODY_SECONDS
        self._seen = 0
        self._is_whole = False
        self._is_refused = False

    async def receive(self) -> Message:
        """The next piece. Raises Problem 413 or 408."""
        if self._is_whole:
            return await self._receive()  # whether the client leaves, which takes as long as it takes
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._next()
        except TimeoutError:
            told = f"The body did not come within {BODY_SECONDS:.0f} seconds."
            raise Problem(408, "too_slow", told, headers={"Connection": "close"}) from None
        if self._seen > self._max_bytes:
            raise _too_large(self._max_bytes)
        return message

    async def send(self, message: Message) -> None:
        """Pass on what the app sends. The end of a 413 waits until the client has sent what it will send anyway."""
        if message["type"] == "http.response.start":
            self._is_refused = message["status"] == 413
        elif self._is_refused and not self._is_whole and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._discard()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _next(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        return message

    async def _discard(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._is_whole and self._seen < LINGER_BYTES:
                    await self._next()


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, "too_large", f"The body is larger than {max_bytes} bytes.", headers={"Connection": "close"})
