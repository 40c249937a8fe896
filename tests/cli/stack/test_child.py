from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cli.stack.child import Child, NotReady, Program

WITHIN = 20.0


def a_program(place: Path, code: str) -> Program:
    """A Python program that is ready once it has written `ready`, and can write to `log`."""
    ready = place / "ready"

    async def is_ready() -> bool:
        return ready.exists()

    return Program(
        name="worker",
        argv=(sys.executable, "-I", "-c", code, str(place)),
        environment={"PATH": os.defpath},
        log=place / "logs" / "worker.log",
        ready=is_ready,
        starting=lambda: ready.unlink(missing_ok=True),
    )


PREFACE = """
import os, signal, sys, time
place = sys.argv[1]
def ready():
    open(place + "/ready", "w").write(str(os.getpid()))
"""


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not holds():  # noqa: ASYNC110 - other processes have no event for us
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_in(place: Path) -> int:
    file = place / "ready"
    return int(file.read_text() or 0) if file.exists() else 0


async def test_a_child_that_dies_is_started_again_and_it_is_said(tmp_path: Path) -> None:
    said: list[str] = []

    async with Child(a_program(tmp_path, PREFACE + "ready(); time.sleep(600)"), said.append) as child:
        await child.until_ready(WITHIN)
        first = pid_in(tmp_path)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: pid_in(tmp_path) not in (0, first))

    assert child.deaths == 1
    assert "worker ended by signal SIGKILL: it is started again in 0.5 s" in said[0]


async def test_a_child_that_cannot_start_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with Child(a_program(tmp_path, "raise SystemExit('the port is taken')"), lambda _: None) as child:
        with pytest.raises(NotReady, match=r"worker does not come up(.|\n)*the port is taken"):
            await child.until_ready(WITHIN)


async def test_leaving_ends_a_child_and_everything_that_it_started(tmp_path: Path) -> None:
    body = """
child = os.fork() or time.sleep(600)
open(place + "/child", "w").write(str(child))
ready()
time.sleep(600)
"""
    code = PREFACE + body

    async with Child(a_program(tmp_path, code), lambda _: None) as child:
        await child.until_ready(WITHIN)
        grandchild = int((tmp_path / "child").read_text())
        assert alive(grandchild)

    await eventually(lambda: not alive(grandchild) and not alive(pid_in(tmp_path)))


async def test_a_child_that_ignores_being_asked_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.stack.child.STOP_SECONDS", 0.2)
    code = PREFACE + "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"

    async with Child(a_program(tmp_path, code), lambda _: None) as child:
        await child.until_ready(WITHIN)

    assert not alive(pid_in(tmp_path))


async def test_a_child_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.cli.stack.test_child import PREFACE, a_program\n"
        "from cli.stack.child import Child\n"
        "async def main():\n"
        "    async with Child(a_program(Path(sys.argv[1]), PREFACE + 'ready(); time.sleep(600)'), print) as child:\n"
        "        await child.until_ready(20)\n"
        "        print('up', flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert supervisor.stdout is not None
    assert await asyncio.wait_for(supervisor.stdout.readline(), WITHIN) == b"up\n"
    child = pid_in(tmp_path)

    supervisor.kill()
    await supervisor.wait()

    await eventually(lambda: not alive(child))


async def test_a_child_that_dies_for_ever_is_started_ever_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.stack.child.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("cli.stack.child.LONGEST_PAUSE", 0.04)
    said: list[str] = []

    async with Child(a_program(tmp_path, "raise SystemExit(78)"), said.append):
        await eventually(lambda: len(said) >= 4)

    pauses = [line.partition("again in ")[2].split()[0] for line in said]
    assert pauses[:4] == ["0.01", "0.02", "0.04", "0.04"]
    assert "worker ended with exit code 78" in said[0]


async def test_a_child_that_cannot_be_started_for_a_while_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.stack.child.FIRST_PAUSE", 0.01)
    said: list[str] = []
    program = a_program(tmp_path, PREFACE + "ready(); time.sleep(600)")
    starts = iter([None, OSError(errno.ENOSPC, "No space left on device")])

    def starting() -> None:
        program.starting()
        if failure := next(starts, None):
            raise failure

    async with Child(replace(program, starting=starting), said.append) as child:
        await child.until_ready(WITHIN)
        first = pid_in(tmp_path)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: pid_in(tmp_path) not in (0, first))

    assert "worker cannot be started (No space left on device): it is started again" in said[1]
