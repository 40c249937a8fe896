"""ASGI middleware that counts a request's body while it comes in, and refuses it before it has been read whole."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, problem_response


class BodyLimit:
    """Answers 413 at once where the length is declared, and at the first byte too many where it is not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > self._max_bytes):
            problem = self._too_large()
            request_id = str(scope.get("airlock.request_id", ""))
            response = problem_response(413, problem.code, problem.detail, request_id, problem)
            await response(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._max_bytes:
                    raise self._too_large()
            return message

        return counted

    def _too_large(self) -> Problem:
        told = f"The body is larger than {self._max_bytes} bytes."
        return Problem(413, "too_large", told, headers={"Connection": "close"})
