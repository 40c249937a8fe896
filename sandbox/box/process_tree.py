"""Everything that a script has started, found by ancestry, and its end."""

from __future__ import annotations

import os

from sandbox.controls.caller import parent_of, place_of
from sandbox.light import signal

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CONTAINER_MEMORY = (("/sys/fs/cgroup/memory.stat", "anon "), ("/sys/fs/cgroup/memory/memory.stat", "total_rss "))
"""Where version 2 tells, and version 1."""


def descendants(ancestor: int) -> list[int]:
    """The processes that come from `ancestor`, which has to be a subreaper, or the first process of its namespace."""
    parents = {int(name): parent_of(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    family = {ancestor}
    while more := {each for each, parent in parents.items() if parent in family} - family:
        family |= more
    return [each for each in family if each != ancestor]


def kill_descendants(ancestor: int) -> None:
    """Send SIGKILL to all of them. Whoever does not serve the recorder meanwhile lets none of them fork."""
    for process in descendants(ancestor):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def resident_bytes(ancestor: int) -> int:
    """The memory that all of them together keep resident.

    The first process of a container asks its control group. Elsewhere shared pages are counted for each process.
    """
    anonymous = _anonymous_in_container() if ancestor == 1 else None
    if anonymous is not None:
        return max(0, anonymous - _own_anonymous())
    total = 0
    for process in descendants(ancestor):
        try:
            with open(f"{place_of(process)}/statm", encoding="ascii") as file:
                total += int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            continue
    return total


def _anonymous_in_container() -> int | None:
    """What nobody shares with a file, in the control group that a container sees as the root of all."""
    for path, name in _CONTAINER_MEMORY:
        try:
            with open(path, encoding="ascii") as file:
                found = [line.split()[1] for line in file if line.startswith(name)]
        except OSError:
            continue
        if found:
            return int(found[0])
    return None


def _own_anonymous() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        _, resident, shared = file.read().split()[:3]
    return (int(resident) - int(shared)) * _PAGE


class Reaper:
    """Collects the dead, and what they have used up."""

    def __init__(self) -> None:
        self.cpu_ms = 0
        self.peak_bytes = 0
        """Of the largest single process."""
        self.statuses: dict[int, int] = {}

    def collect(self) -> None:
        """Take in every process that has ended."""
        while self._one(os.WNOHANG):
            pass

    def collect_all(self, ancestor: int) -> None:
        """Kill until no process is left, and take all of them in."""
        kill_descendants(ancestor)
        while self._one(0):
            kill_descendants(ancestor)

    def _one(self, options: int) -> bool:
        try:
            process, status, used = os.wait4(-1, options)
        except ChildProcessError:
            return False
        if process == 0:
            return False
        self.statuses[process] = status
        self.cpu_ms += int((used.ru_utime + used.ru_stime) * 1000)
        self.peak_bytes = max(self.peak_bytes, used.ru_maxrss * 1024)
        return True
