"""Everything that a script has started, found by ancestry, and its end."""

from __future__ import annotations

import os

from sandbox.controls.caller import parent_of
from sandbox.light import signal


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


class Reaper:
    """Collects the dead, and what they have used up."""

    def __init__(self) -> None:
        self.cpu_ms = 0
        self.peak_bytes = 0
        """Of the largest single process."""
        self.statuses: dict[int, int] = {}

    def collect(self) -> bool:
        """Take in every process that has ended. Whether any is left: all orphans are a subreaper's children."""
        while (one := self._one(os.WNOHANG)) is True:
            pass
        return one is None

    def collect_all(self, ancestor: int) -> None:
        """Kill until no process is left, and take all of them in."""
        while self.collect():
            kill_descendants(ancestor)
            self._one(0)

    def _one(self, options: int) -> bool | None:
        """Whether one was taken in; None where none has ended yet, False where there is none."""
        try:
            process, status, used = os.wait4(-1, options)
        except ChildProcessError:
            return False
        if process == 0:
            return None
        self.statuses[process] = status
        self.cpu_ms += int((used.ru_utime + used.ru_stime) * 1000)
        self.peak_bytes = max(self.peak_bytes, used.ru_maxrss * 1024)
        return True
