"""What a launcher leaves that is killed in the middle of a start is found without a marker, and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.bubblewrap import launcher_path
from sandbox.local.strays import end_strays

pytestmark = pytest.mark.sandbox


class Held:
    """A start that waits: the launcher, and the child that is not let go on."""

    def __init__(self, launcher: str) -> None:
        told, tells = os.pipe()
        self._held, holds = os.pipe()
        command = [launcher, "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/"]
        command += ["--info-fd", str(tells), "--block-fd", str(self._held), "true"]
        self.launcher = subprocess.Popen(command, pass_fds=(tells, self._held))
        os.close(tells)
        with os.fdopen(told) as words:
            self.child = int(json.load(words)["child-pid"])
        self._holds = holds

    def end(self) -> None:
        for process in (self.launcher.pid, self.child):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.launcher.wait()
        os.close(self._held)
        os.close(self._holds)


@pytest.fixture
def launcher(tmp_path: Path) -> str:
    """A launcher with a path of its own: what others start at the same time is not ours to end."""
    path = tmp_path / "bwrap"
    path.symlink_to(launcher_path())
    return str(path)


@pytest.fixture
def held(launcher: str) -> Iterator[Held]:
    start = Held(launcher)
    yield start
    start.end()


def gone(process: int) -> bool:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        status = Path(f"/proc/{process}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_child_whose_launcher_was_killed_is_ended(held: Held, launcher: str) -> None:
    held.launcher.kill()
    held.launcher.wait()
    assert not Path(f"/proc/{held.child}/status").read_text().count("Z (zombie)")

    assert end_strays(launcher) == (held.child,)

    assert gone(held.child)


def test_a_start_that_is_under_way_is_left_alone(held: Held, launcher: str) -> None:
    assert end_strays(launcher) == ()

    assert held.launcher.poll() is None
