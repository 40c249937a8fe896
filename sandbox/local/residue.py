"""What a run has left on this machine: nothing, or it is said what."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from sandbox.local.markers import RunMarker, started_at

_IPC_OWNER = {"shm": 7, "msg": 7, "sem": 4}
"""The column of the owner's uid in each table of /proc/sysvipc."""


def residue_of(marker: RunMarker) -> tuple[str, ...]:
    """What is left of a run that has ended, by what its marker had said of it."""
    return tuple(_left(marker))


def _left(marker: RunMarker) -> Iterable[str]:
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
    if marker.uid is not None:
        yield from _left_by_user(marker.uid)


def _left_by_user(uid: int) -> Iterable[str]:
    """What the run's own user still has. Says nothing where another run has been given the uid meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lease:
        try:
            lease.bind(f"\0airlock-uid-{uid}")
        except OSError:
            return
        processes = [name for name in _processes() if _owner(name) == uid and started_at(int(name))]  # no zombies
        if processes:
            yield f"{len(processes)} processes of its user are alive"
        for table, column in _IPC_OWNER.items():
            lines = Path(f"/proc/sysvipc/{table}").read_text(encoding="ascii").splitlines()[1:]
            if any(line.split()[column] == str(uid) for line in lines):
                yield f"System V objects ({table}) of its user are left"


def _processes() -> list[str]:
    return [each.name for each in Path("/proc").iterdir() if each.name.isdigit()]


def _owner(process: str) -> int | None:
    try:
        return Path("/proc", process).stat().st_uid
    except OSError:
        return None
