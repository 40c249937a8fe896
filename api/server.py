"""The HTTP server around an app: how it is set, and how it ends."""

from __future__ import annotations

from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from api.http_protocol import MAX_HEADER_BYTES, StrictHttp
from api.websocket_protocol import QuietWebSocket

GRACE_SECONDS = 10
"""What requests under way get at the end. Streams are told at once."""
MAX_MESSAGE_BYTES = 4096
"""Of a WebSocket message: clients have nothing to say there."""


class Server(uvicorn.Server):
    """Ends by returning. Uvicorn's own would raise the signal again, and what is open here would not be closed."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Serve an app, whose lifetimes are the caller's."""
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=StrictHttp,
            ws=QuietWebSocket,
            ws_per_message_deflate=False,  # 64 KB for each watcher, and one more parser of what a client sends
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ws_max_size=MAX_MESSAGE_BYTES,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        super().__init__(config)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()
