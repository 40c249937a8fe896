"""Who a worker process is, so that another process of its machine can tell whether it is still there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_START_TIME = 19
"""The place of the start time in /proc/PID/stat, counted behind the program's name (proc(5): field 22)."""


def identity(pid: int | None = None) -> str:
    """Machine, its process namespace, process id, and when that process began: ids are used again."""
    pid = os.getpid() if pid is None else pid
    return f"{_here()}:{pid}:{_began(pid)}"


def is_gone(worker: str) -> bool:
    """Whether a process of this machine is certainly not there any more. Of others nothing is known: False."""
    here, separator, process = worker.rpartition(":")[0].rpartition(":")
    if not separator or here != _here() or not process.isdecimal():
        return False
    return identity(int(process)) != worker


def _here() -> str:
    return f"{socket.gethostname()}:{Path('/proc/self/ns/pid').stat().st_ino}"


def _began(pid: int) -> str:
    """Clock ticks after the machine's start; empty where there is no such process, or a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[_START_TIME]
