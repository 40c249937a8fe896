"""The outermost ASGI middleware: gives each request an id, headers against browsers, a line in the log, and an end."""

from __future__ import annotations

import secrets
import time
import traceback

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_response
from domain.evaluation import EVALUATION_ID

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Answers hold words of untrusted scripts: nobody is to guess their type, frame them or keep them."""
TRACE_FRAMES = 12
_NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"
_OWN_CONTENT = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'"
)
"""For the one page that there is, the API's own documentation: it has nothing to load from elsewhere."""

log = structlog.get_logger()


class RequestContext:
    """Whatever happens inside, the client gets an answer and the log a line. Nothing of the request's text is in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        scope["airlock.request_id"] = request_id = f"req_{secrets.token_hex(12)}"
        exchange = _Exchange(scope, send, request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, exchange.send)
            except Exception as error:  # noqa: BLE001 - the last resort: the client gets an answer
                await self._broken(exchange, receive, error)
            finally:
                exchange.tell()

    async def _broken(self, exchange: _Exchange, receive: Receive, error: Exception) -> None:
        """The last resort. A stream that has begun can only end."""
        trace = "".join(traceback.format_tb(error.__traceback__)[-TRACE_FRAMES:])  # its message may be a script's text
        log.error("request_broke", error=type(error).__name__, trace=trace)
        if exchange.status is None and exchange.scope["type"] == "http":
            told = "The platform failed. The request_id finds what happened in its logs."
            response = problem_response(500, "internal_error", told, exchange.request_id)
            await response(exchange.scope, receive, exchange.send)


class _Exchange:
    """What is known of one request and its answer."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.scope, self.request_id = scope, request_id
        self.status: int | None = None
        self._send = send
        self._began = time.perf_counter()

    async def send(self, message: Message) -> None:
        """Pass on what the app sends, with our headers."""
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            is_page = "text/html" in headers.get("content-type", "")
            headers["Content-Security-Policy"] = _OWN_CONTENT if is_page else _NO_CONTENT
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    def tell(self) -> None:
        """One line. The route's pattern stands for the path, which is the client's text."""
        route = self.scope.get("route")
        log.info(
            "request",
            method=self.scope.get("method", "WEBSOCKET"),
            route=getattr(route, "path", "unknown"),
            status=self.status,
            ms=round((time.perf_counter() - self._began) * 1000, 1),
            key_id=self.scope.get("airlock.key_id"),
            evaluation_id=self._evaluation_id(),
        )

    def _evaluation_id(self) -> str | None:
        """The id in the path. Anything else that stands there is the client's text."""
        named = str(self.scope.get("path_params", {}).get("evaluation_id", ""))
        return named if EVALUATION_ID.fullmatch(named) else None
