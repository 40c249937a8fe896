"""Starts that were cut off: a child that waits for ever, because its launcher died before the two were bound together.

bubblewrap binds its child's life to its own only after the child has been let go on. A worker that is killed between
the two leaves a child that no marker names, that has started nothing, and that nobody will ever answer.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_strays(launcher: str) -> tuple[int, ...]:
    """Kill the cut-off children of this launcher's path, and say which there were. Only our own, or all as root."""
    strays = tuple(process for process in _of(launcher) if _is_cut_off(process, launcher))
    for process in strays:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
    return strays


def _of(launcher: str) -> list[int]:
    """The processes that are this launcher still. What it has become by an exec is none of them."""
    found = (each.name for each in Path("/proc").iterdir() if each.name.isdigit())
    return [int(name) for name in found if _program(int(name)) == launcher]


def _is_cut_off(process: int, launcher: str) -> bool:
    """Whether it is in a namespace of its own already, while its parent is no launcher any more."""
    fields = _status(process)
    inside = len(fields.get("NSpid", "").split()) > len(_status(os.getpid()).get("NSpid", "").split())
    parent = fields.get("PPid", "")
    return inside and parent.isdigit() and _program(int(parent)) != launcher


def _program(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().partition(b"\0")[0].decode("utf-8", "replace")
    return ""


def _status(process: int) -> dict[str, str]:
    with suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}
