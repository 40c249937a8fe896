"""What a run has left on this machine: nothing, or it is said what."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Protocol

from domain.model_calls import ModelAnswerer
from domain.runs import Backend, RunReport, RunRequest
from sandbox.local.markers import RunMarker, RunMarkers, started_at
from sandbox.port import RunWatcher

_IPC_OWNER = {"shm": 7, "msg": 7, "sem": 4}
"""The column of the owner's uid in each table of /proc/sysvipc."""
_PLACES_FOR_ALL = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock")  # noqa: S108 - looked at, not used
_SOCKETS = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")
_OWNER_OF_SOCKET = 7
"""The column of the owner's uid in each table of /proc/net."""


class MarkedSandbox(Protocol):
    """A sandbox of this machine: it leaves a marker of each run while it lasts."""

    backend: ClassVar[Backend]

    async def run(
        self, request: RunRequest, *, answer: ModelAnswerer, watch: RunWatcher, stop: asyncio.Event
    ) -> RunReport:
        """As the port says."""
        ...

    async def kill(self, run_id: str) -> bool:
        """As the port says."""
        ...

    async def runs(self) -> tuple[str, ...]:
        """The runs of which something may be alive."""
        ...


class Residue:
    """What the runs of one sandbox leave, by their markers in its state directory."""

    def __init__(self, sandbox: MarkedSandbox, state: Path) -> None:
        self._sandbox = sandbox
        self._markers = RunMarkers(state / sandbox.backend.value)
        self._remembered: dict[str, RunMarker] = {}

    def remember(self, run_id: str) -> None:
        """Take down what a run has, while it is alive."""
        marker = self._markers.read(run_id)
        if marker is not None:
            self._remembered[run_id] = marker

    async def of(self, request: RunRequest) -> tuple[str, ...]:
        """What is left of a run that has ended; empty where nothing is."""
        marker = self._remembered.pop(request.run_id, None)
        left = () if marker is None else residue_of(marker, request.seed)
        return (*left, "its marker is left") if request.run_id in await self._sandbox.runs() else left


def residue_of(marker: RunMarker, seed: int | None = None) -> tuple[str, ...]:
    """What is left of a run that has ended, by what its marker had said of it.

    `seed` is the run's own, where nobody else had it: then its processes are known by their environment too.
    """
    return tuple(_left(marker, seed))


def _left(marker: RunMarker, seed: int | None) -> Iterable[str]:
    if marker.alive:
        yield "its first process is alive"
    for directory in marker.cgroups:
        if Path(directory).exists():
            yield "its cgroup is left"
    if marker.scratch is not None:
        if Path(marker.scratch).exists():
            yield "its scratch directory is left"
        if marker.scratch in Path("/proc/self/mountinfo").read_text(encoding="utf-8"):
            yield "a mount is left"
    if seed is not None and (processes := processes_of_seed(seed)):
        yield f"{len(processes)} processes with its seed are alive"
    if marker.uid is not None:
        yield from left_by_user(marker.uid)


def left_by_user(uid: int) -> Iterable[str]:
    """What the run's own user still has. Says nothing where another run has been given the uid meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lease:
        try:
            lease.bind(f"\0airlock-uid-{uid}")
        except OSError:
            return
        processes = [name for name in _processes() if _owner(f"/proc/{name}") == uid and started_at(int(name))]
        if processes:
            yield f"{len(processes)} processes of its user are alive"
        for table, column in _IPC_OWNER.items():
            lines = Path(f"/proc/sysvipc/{table}").read_text(encoding="ascii").splitlines()[1:]
            if any(line.split()[column] == str(uid) for line in lines):
                yield f"System V objects ({table}) of its user are left"
        if files := [path for place in _PLACES_FOR_ALL for path in _entries(place) if _owner(path) == uid]:
            yield f"files of its user are left: {', '.join(files[:3])}"
        if any(_has_socket(Path("/proc/net", table), uid) for table in _SOCKETS):
            yield "sockets of its user are left"


def processes_of_seed(seed: int) -> list[str]:
    """The processes that a run with this seed has started. Some show their environment to nobody but themselves."""
    word = f"PYTHONHASHSEED={seed}\0".encode("ascii")
    found: list[str] = []
    for process in _processes():
        with suppress(OSError):
            if word in Path("/proc", process, "environ").read_bytes() and started_at(int(process)):
                found.append(process)
    return found


def _entries(place: str) -> list[str]:
    with suppress(OSError):
        return [entry.path for entry in os.scandir(place)]
    return []


def _has_socket(table: Path, uid: int) -> bool:
    with suppress(OSError):
        return any(
            line.split()[_OWNER_OF_SOCKET] == str(uid) for line in table.read_text(encoding="ascii").splitlines()[1:]
        )
    return False


def _processes() -> list[str]:
    return [each.name for each in Path("/proc").iterdir() if each.name.isdigit()]


def _owner(path: str) -> int | None:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None
