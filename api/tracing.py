"""The ASGI middleware that begins the trace of a request, or goes on with its client's."""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.measuring import UNKNOWN_ROUTE
from domain.evaluation import EVALUATION_ID
from domain.metrics import METHODS, OTHER
from workflows.traces import Traces


class Traced:
    """Stands before an app. The pattern of the route stands for the path, which is the client's text."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app, self._traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket within a span."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        parent = Headers(scope=scope).get("traceparent")
        with self._traces.span("request", kind=SpanKind.SERVER, parent=parent) as span:

            async def told(message: Message) -> None:
                if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                    span.set_attribute("http.response.status_code", message["status"])
                    _name(span, Headers(raw=list(message.get("headers", ()))).get("location", "").rpartition("/")[2])
                await send(message)

            try:
                await self._app(scope, receive, told)
            finally:
                method = scope.get("method", "WEBSOCKET")
                span.set_attribute("http.request.method", method if method in METHODS else OTHER)
                span.set_attribute("http.route", getattr(scope.get("route"), "path", UNKNOWN_ROUTE))
                _name(span, str(scope.get("path_params", {}).get("evaluation_id", "")))  # the one that was asked about


def _name(span: Span, evaluation_id: str) -> None:
    """Say which evaluation a span is about, where that is an id."""
    if EVALUATION_ID.fullmatch(evaluation_id):
        span.set_attribute("airlock.evaluation_id", evaluation_id)
