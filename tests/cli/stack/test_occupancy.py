from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from cli.stack import occupancy
from cli.stack.occupancy import AlreadyUp, alone

HOLDER = """import fcntl, signal, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""
WITHIN = 20.0


async def a_holder(state: Path, seconds: float) -> asyncio.subprocess.Process:
    """A child that a killed supervisor has left behind: it holds what it was given for so long."""
    words = ("-I", "-c", HOLDER, str(state / "children.lock"), str(seconds))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), WITHIN) == b"held\n"
    return process


async def test_a_second_one_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with alone(tmp_path, print), alone(tmp_path / "elsewhere", print):
        with pytest.raises(AlreadyUp, match="works in"):
            async with alone(tmp_path, print):
                pass

    async with alone(tmp_path, print):
        pass


async def test_what_a_killed_one_has_left_is_waited_for(tmp_path: Path) -> None:
    holder, said = await a_holder(tmp_path, 0.3), list[str]()

    async with alone(tmp_path, said.append):
        ended = await asyncio.wait_for(holder.wait(), WITHIN)

    assert ended == 0
    assert "was killed here" in said[0]


async def test_what_does_not_end_by_itself_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancy, "STOP_SECONDS", 0.2)
    holder = await a_holder(tmp_path, 600)

    async with alone(tmp_path, lambda _: None):
        ended = await asyncio.wait_for(holder.wait(), WITHIN)

    assert ended == -signal.SIGKILL
