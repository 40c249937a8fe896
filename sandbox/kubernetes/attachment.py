"""An attached stream: standard input and output of a pod's process 1, over one WebSocket."""

from __future__ import annotations

import aiohttp

from sandbox.kubernetes.cluster_errors import ClusterAway, translated

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
PING_SECONDS = 10.0
STDIN, STDOUT = 0, 1
"""Channels: the first byte of every message."""
MAX_SENT = 256 * 1024
"""Of one message; streaming servers reset connections over much larger ones."""
_CLOSING = frozenset({aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED})


class Attachment:
    """One connection. Several may be open at once, and each hears everything."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        """Write to standard input. Raises ClusterAway where the connection is cut; a part may have arrived."""
        with translated():
            for at in range(0, len(data), MAX_SENT):
                await self._socket.send_bytes(bytes([STDIN]) + data[at : at + MAX_SENT])

    async def receive(self) -> bytes:
        """What standard output said next; empty at its end. Raises ClusterAway where the connection is cut."""
        with translated():
            while True:
                message = await self._socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY and message.data:
                    if message.data[0] == STDOUT and len(message.data) > 1:
                        return message.data[1:]
                elif message.type is aiohttp.WSMsgType.ERROR:
                    raise ClusterAway("the attached stream was cut")
                elif message.type in _CLOSING:
                    return b""
