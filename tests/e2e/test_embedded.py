"""`airlock up` as somebody types it: however it is ended, nothing stays behind, and the next one works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.client import AirlockClient, ServerAway
from cli.following import follow, status_in
from domain.lifecycle import Status
from tests.e2e.parts import ROOT, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
WITHIN = 120.0


class Up:
    """One `airlock up`, in a session of its own as a terminal would give it."""

    def __init__(self, state: Path) -> None:
        self.state, self.said = state, state.with_suffix(".said")
        command = (sys.executable, "-m", "cli", "up", "--any-port", "--state", str(state))
        own = {"PATH": os.defpath, "HOME": str(state.parent)}
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def works(self) -> bool:
        """Wait until it says so. False where it ends instead."""
        return eventually(lambda: "Ctrl-C stops" in self.output or self.process.poll() is not None) and (
            self.process.poll() is None
        )

    @property
    def output(self) -> str:
        return self.said.read_text("utf-8", "replace")

    def children(self) -> dict[int, str]:
        """Every process that speaks of the directory in its command or its environment, but this one."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in (os.getpid(), self.process.pid):
                told = text_of(entry / "cmdline") + text_of(entry / "environ")
                if str(self.state) in told:
                    found[int(entry.name)] = text_of(entry / "cmdline").replace("\0", " ")
        return found


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="airlock-up-") as place:
        Path(place).chmod(0o711)
        yield Path(place) / "ein größerer name"


def eventually(holds: Callable[[], bool]) -> bool:
    last = time.monotonic() + WITHIN
    while time.monotonic() < last:
        if holds():
            return True
        time.sleep(0.05)
    return False


def assert_completes(state: Path) -> None:
    """What `env` names takes an evaluation and brings it to its end."""
    words = dict(line.removeprefix("export ").split("=", 1) for line in (state / "env").read_text().splitlines())
    with AirlockClient(words["AIRLOCK_URL"], words["AIRLOCK_API_KEY"]) as client:
        *_, last = follow(client, submitted(client))
    assert status_in(last) is Status.COMPLETED


def submitted(client: AirlockClient) -> str:
    """The id of an evaluation, accepted as soon as everything is there."""
    last = time.monotonic() + WITHIN
    while True:
        try:
            return client.submit("mock", "print('hello')\n", {})["evaluation_id"]
        except ServerAway:
            assert time.monotonic() < last, "nothing is accepted any more"
            time.sleep(0.2)


@pytest.mark.parametrize("signals", [["SIGINT"], ["SIGINT", "SIGINT"], ["SIGTERM"], ["SIGHUP"]], ids="-".join)
def test_each_way_of_asking_it_to_end_ends_everything(state: Path, signals: list[str]) -> None:
    up = Up(state)
    assert up.works(), up.output
    assert_completes(state)

    for each in signals:
        os.killpg(up.process.pid, signal.Signals[each])
        time.sleep(0.3)

    assert up.process.wait(WITHIN) == 0
    assert "Everything is stopped." in up.output
    assert up.children() == {}


def test_after_a_kill_nothing_stays_and_the_next_one_works_on_the_same_files(state: Path) -> None:
    first = Up(state)
    assert first.works(), first.output
    assert_completes(state)

    first.process.kill()
    first.process.wait()
    left = first.children().keys()
    second = Up(state)

    assert second.works(), second.output
    assert not left & second.children().keys()
    assert_completes(state)
    second.process.terminate()
    assert second.process.wait(WITHIN) == 0
    assert second.children() == {}


def test_whatever_of_it_is_killed_is_started_again_and_it_says_so(state: Path) -> None:
    up = Up(state)
    assert up.works(), up.output

    victims = up.children()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)

    names = ("temporal", "api", "worker-workflows", "worker-validation", "worker-execution", "worker-monitor")
    assert eventually(lambda: all(f"{name} ended by signal SIGKILL" in up.output for name in names)), up.output
    assert_completes(state)
    up.process.terminate()
    assert up.process.wait(WITHIN) == 0
