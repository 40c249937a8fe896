"""A way to the API server that can be cut: every connection at once, whatever is on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.sandbox.kubernetes.world import World


class Proxy:
    """Carries bytes between a port of its own and the server."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._open: set[asyncio.StreamWriter] = set()
        self.cuts = 0

    def cut(self) -> None:
        """Reset all that is open now. New connections are taken."""
        self.cuts += 1
        for each in tuple(self._open):
            each.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._to)
        self._open |= {writer, back}
        carrying = [asyncio.create_task(self._carry(reader, back)), asyncio.create_task(self._carry(there, writer))]
        try:
            await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in carrying:
                each.cancel()
            self._open -= {writer, back}
            writer.close()
            back.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxied(world: World, directory: Path) -> AsyncGenerator[tuple[Proxy, Path]]:
    """The proxy, and a kubeconfig that leads through it."""
    given: dict[str, Any] = json.loads(world.kubectl("config", "view", "--raw", "--flatten", "-o", "json").stdout)
    server = urlsplit(str(given["clusters"][0]["cluster"]["server"]))
    proxy = Proxy(server.hostname or "", server.port or 443)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    given["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    file = directory / "proxied.kubeconfig"
    file.write_text(json.dumps(given))
    try:
        yield proxy, file
    finally:
        listening.close()
        proxy.cut()
