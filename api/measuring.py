"""The ASGI middleware that counts requests. It takes nothing of their own text: patterns of routes, known methods."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.metrics import HTTP_REQUEST_SECONDS, HTTP_REQUESTS, STREAMS_OPEN
from workflows.metrics import Instruments

UNKNOWN_ROUTE = "unknown"
"""Of a path that no route has."""


class Measured:
    """Stands before an app."""

    def __init__(self, app: ASGIApp, instruments: Instruments) -> None:
        self._app = app
        self._instruments = instruments
        self._open = {"sse": 0, "websocket": 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket, and count it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(send, self)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, exchange.send)
        finally:
            method = scope.get("method", "WEBSOCKET")
            route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
            self._instruments.count(HTTP_REQUESTS, method=method, route=route, status=str(exchange.status))
            if exchange.stream is not None:
                self.hold(exchange.stream, -1)
            else:
                self._instruments.observe(HTTP_REQUEST_SECONDS, time.perf_counter() - began, method=method, route=route)

    def hold(self, transport: str, more: int) -> None:
        """Count open streams."""
        self._open[transport] += more
        self._instruments.put(STREAMS_OPEN, self._open[transport], transport=transport)


class _Exchange:
    """What is known of one answer."""

    def __init__(self, send: Send, measured: Measured) -> None:
        self.status = 0
        self.stream: str | None = None
        self._send, self._measured = send, measured

    async def send(self, message: Message) -> None:
        """Pass on what the app sends, and look at how it begins."""
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            self.status = message["status"]
            if any(name == b"content-type" and b"event-stream" in value for name, value in message["headers"]):
                self._begin("sse")
        elif message["type"] == "websocket.accept":
            self.status = 101
            self._begin("websocket")
        elif message["type"] == "websocket.close" and self.stream is None and not self.status:
            self.status = 403  # what the server makes of a close before an accept
        await self._send(message)

    def _begin(self, transport: str) -> None:
        self.stream = transport
        self._measured.hold(transport, 1)
