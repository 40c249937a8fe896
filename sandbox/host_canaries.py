"""What the escape suite leaves about for hostile scripts: a file, and doors to knock at. It tells who touched them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_PLACE = "/var/tmp"  # noqa: S108 - made safely; /tmp is what a sandbox gives a run of its own
_TEXT = "nobody may change this"


class HostCanaries:
    """The canaries of one suite. Anybody on this machine may reach them, except from inside a sandbox."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / "canary"
        self._socket = directory / "socket"
        self._visits: list[str] = []
        self._datagrams: socket.socket | None = None
        self._port = 0
        self._before: tuple[int, ...] = ()

    @property
    def directory(self) -> Path:
        """Where they are."""
        return self._directory

    @property
    def params(self) -> dict[str, str | int]:
        """What a case is called with."""
        return {
            "path": str(self._file),
            "port": self._port,
            "socket_path": str(self._socket),
            "pid": os.getpid(),
            "host_name": socket.gethostname(),
        }

    def complaints(self) -> tuple[str, ...]:
        """What happened to them since they were made; empty where nothing did."""
        found = list(self._visits)
        if self._datagrams is not None:
            with suppress(BlockingIOError):
                found.append(f"a datagram of {len(self._datagrams.recv(65536))} bytes came in")
        try:
            if self._file.read_text() != _TEXT or self._state() != self._before:
                found.append("the canary file was changed")
        except OSError:
            found.append("the canary file is gone")
        if sorted(each.name for each in self._directory.iterdir()) != ["canary", "socket"]:
            found.append("something was made or removed beside the canary file")
        return tuple(found)

    async def open(self) -> list[asyncio.Server]:
        """Lay them out. Returns the listeners, which `close` takes."""
        self._directory.chmod(0o777)
        self._file.write_text(_TEXT)
        self._file.chmod(0o666)
        tcp = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        self._port = int(tcp.sockets[0].getsockname()[1])
        unix = await asyncio.start_unix_server(self._visited, self._socket)
        self._socket.chmod(0o777)
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.settimeout(0)
        with suppress(OSError):  # the same number may be taken; then TCP alone is watched
            self._datagrams.bind(("127.0.0.1", self._port))
        self._before = self._state()
        return [tcp, unix]

    def _state(self) -> tuple[int, ...]:
        status = self._file.stat()
        return (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ino, status.st_nlink)

    async def _visited(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visits.append("somebody connected to a listener of the host")
        writer.close()

    async def close(self, servers: list[asyncio.Server]) -> None:
        """Close the doors."""
        for server in servers:
            server.close()
            await server.wait_closed()
        if self._datagrams is not None:
            self._datagrams.close()


@asynccontextmanager
async def host_canaries() -> AsyncGenerator[HostCanaries]:
    """Canaries in a directory of their own, which goes with them."""
    directory = Path(tempfile.mkdtemp(prefix="airlock-canaries-", dir=_PLACE))
    canaries = HostCanaries(directory)
    servers = await canaries.open()
    try:
        yield canaries
    finally:
        await canaries.close(servers)
        shutil.rmtree(directory, ignore_errors=True)
