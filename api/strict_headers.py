"""ASGI middleware that refuses headers about which two readers of one request may disagree."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem_response

ONCE = ("authorization", "content-type", "idempotency-key", "last-event-id")
"""Headers whose first line is meant by some, and whose last one by others: a proxy before us, for instance."""


class StrictHeaders:
    """Answers 400 where a header stands twice, or where a body has two lengths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        complaint = _complaint(Headers(scope=scope)) if scope["type"] in {"http", "websocket"} else ""
        if not complaint:
            await self._app(scope, receive, send)
            return
        request_id = str(scope.get("airlock.request_id", ""))
        response = problem_response(400, "ambiguous_headers", complaint, request_id)
        response.headers["Connection"] = "close"  # where its body ends is part of what is not known
        await response(scope, receive, send)


def _complaint(headers: Headers) -> str:
    if "content-length" in headers and "transfer-encoding" in headers:
        return "The body has two lengths: send Content-Length or Transfer-Encoding, not both."
    twice = next((name for name in ONCE if len(headers.getlist(name)) > 1), "")
    return f"The header {twice} stands there twice." if twice else ""
