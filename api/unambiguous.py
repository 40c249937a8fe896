"""ASGI middleware that refuses what two readers of one request may read differently: headers, parameters, lengths."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem_response

ONCE = ("authorization", "content-type", "idempotency-key", "last-event-id")
"""Headers whose first line is meant by some, and whose last one by others: a proxy before us, for instance."""
MAX_NAME = 50
"""Letters of a parameter's name that are told."""


class Unambiguous:
    """Answers 400 where a header or a parameter stands twice, or where a body has two lengths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers, parameters = _complaint_about_headers(Headers(scope=scope)), _complaint_about(scope["query_string"])
        if not headers and not parameters:
            await self._app(scope, receive, send)
            return
        code = "ambiguous_headers" if headers else "ambiguous_query"
        request_id = str(scope.get("airlock.request_id", ""))
        response = problem_response(400, code, headers or parameters, request_id)
        response.headers["Connection"] = "close"  # where its body ends may be part of what is not known
        await response(scope, receive, send)


def _complaint_about_headers(headers: Headers) -> str:
    if "content-length" in headers and "transfer-encoding" in headers:
        return "The body has two lengths: send Content-Length or Transfer-Encoding, not both."
    twice = next((name for name in ONCE if len(headers.getlist(name)) > 1), "")
    return f"The header {twice} stands there twice." if twice else ""


def _complaint_about(query: bytes) -> str:
    if b"&" not in query:
        return ""
    times = Counter(name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    twice = next((name for name, count in times.items() if count > 1), None)
    return "" if twice is None else f"The parameter {twice[:MAX_NAME]} stands there twice."
