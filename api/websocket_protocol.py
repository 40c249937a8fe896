"""WebSockets on the wire, as uvicorn speaks them to clients that have nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

MAX_HEARD_BYTES = 128 * 1024
"""Of one client, its handshake included. Signs of life for 15 minutes have 1 KB; more is a flood of them."""


class QuietWebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    _heard = 0

    def data_received(self, data: bytes) -> None:
        """Take what a client says, and no more of it than anybody needs: each ping would be answered."""
        self._heard += len(data)
        if self._heard > MAX_HEARD_BYTES:
            self.transport.abort()
            return
        super().data_received(data)

    async def send(self, message: ASGISendEvent) -> None:
        """Pass on what the app sends. A handshake that was answered with a problem is over: uvicorn forgets that."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True
