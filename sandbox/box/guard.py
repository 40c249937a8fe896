"""The process that outlives a runner where no namespace does: it ends whatever a runner that dies leaves behind."""

from __future__ import annotations

import os

from sandbox.box.process_tree import Reaper
from sandbox.controls.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, prctl
from sandbox.light import signal


def stand_guard() -> None:
    """Fork: the child goes on as the runner, and this process ends whatever a runner that dies leaves behind."""
    guard = os.getpid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    runner = os.fork()
    if runner == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != guard:
            os._exit(1)
        return
    prctl(PR_SET_DUMPABLE, 0)
    for each in (0, 1):
        os.close(each)
    signal.signal(signal.SIGTERM, lambda _number, _frame: _pass_on(runner))
    _, status = os.waitpid(runner, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Reaper().collect_all(guard)
    os._exit(min(255, abs(os.waitstatus_to_exitcode(status))))


def _pass_on(runner: int) -> None:
    """A guard that failed here would leave behind what it guards against."""
    try:
        os.kill(runner, signal.SIGTERM)
    except ProcessLookupError:
        return
