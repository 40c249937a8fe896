"""HTTP on the wire, as uvicorn speaks it; but noise is answered with a problem, and who never asks is cut off."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import sys
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.problems import problem_response
from api.request_context import SECURITY_HEADERS
from api.websocket_protocol import QuietWebSocket

REQUEST_SECONDS = 20.0
"""How long the headers of a request may take, from the connection or the last answer on. However they drip in."""
MAX_HEADER_BYTES = 64 * 1024
NOT_HTTP = "This is no valid HTTP/1.1 request."
HEADERS_TOO_LARGE = f"The address and the headers together have more than {MAX_HEADER_BYTES} bytes."


class StrictHttp(H11Protocol):
    """One connection."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn's
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request. A piece alone buys no time."""
        super().data_received(data)
        self._wait_no_longer_for_what_is_here()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._expect_request()
        super().on_response_complete()
        self._wait_no_longer_for_what_is_here()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - named by uvicorn; its words are not ours
        """Answer what is not HTTP, in the form of every other refusal. In the middle of an answer there is none."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        request_id = f"req_{secrets.token_hex(12)}"
        status, code, told = 400, "invalid_http", NOT_HTTP
        # Uvicorn calls this while it handles the error, and leaves out which answer h11 thinks it deserves
        if self.conn.our_state is h11.IDLE and getattr(sys.exception(), "error_status_hint", 400) == 431:
            status, code, told = 431, "headers_too_large", HEADERS_TOO_LARGE
        answer = problem_response(status, code, told, request_id)
        headers = {**dict(answer.headers), **SECURITY_HEADERS, "X-Request-Id": request_id, "Connection": "close"}
        for part in (
            h11.Response(status_code=status, headers=list(headers.items()), reason=HTTPStatus(status).phrase.encode()),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(part) or b"")
        self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Answer a handshake that is none in our own form: behind it another library speaks, in plain text."""
        headers = dict(self.headers)
        is_handshake = headers.get(b"sec-websocket-version") == b"13" and event.method == b"GET"
        if not is_handshake or not _is_nonce(headers.get(b"sec-websocket-key", b"")):
            self.send_400_response(NOT_HTTP)
            return
        self.headers = [header for header in self.headers if header[0] != b"sec-websocket-protocol"]  # none is spoken
        super().handle_websocket_upgrade(event)
        other = self.transport.get_protocol()
        if isinstance(other, QuietWebSocket) and not other.handshake_initiated:
            # A body, or more headers than it takes. It would stay silent, and hold the connection for ever
            self.connections.discard(other)
            self.transport.set_protocol(self)
            self.send_400_response(NOT_HTTP)

    def _expect_request(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _wait_no_longer_for_what_is_here(self) -> None:
        """Both a request under way and a WebSocket have deadlines of their own."""
        under_way = self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison] - None before the first
        if under_way or self.transport.get_protocol() is not self:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self.transport.abort()


def _is_nonce(key: bytes) -> bool:
    """Whether it is 16 bytes in base64 (RFC 6455, 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False
