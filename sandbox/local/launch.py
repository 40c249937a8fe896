"""How a run's first process is started, with the descriptors that its command speaks of, and nothing else of ours."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from domain.errors import SandboxUnavailable
from sandbox.box.process_tree import descendants, kill_descendants
from sandbox.local.launched import DEAD_WITHIN, LOOK_EVERY, Launched
from sandbox.local.markers import is_alive, started_at
from sandbox.local.plan import LaunchPlan
from sandbox.local.run_uid import FIRST
from sandbox.to_its_end import to_its_end


async def launch(plan: LaunchPlan, uid: int | None) -> Launched:
    """Start a run's first process with nothing of ours but three pipes and what the plan asks for.

    Raises SandboxUnavailable.
    """
    before, identity = ([], {}) if uid is None else _as_user(uid)
    ways = _Ways(plan)
    try:
        process = await _started(
            *before, *[part.format_map(ways.words) if part in ways.braced else part for part in plan.command],
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=plan.environment, cwd="/", close_fds=True, pass_fds=tuple(ways.theirs), umask=0o077,
            start_new_session=True,  # whoever presses Ctrl-C means the worker, who ends its runs whole
            **identity,
        )  # fmt: skip
    except OSError as error:
        ways.close()
        raise SandboxUnavailable(f"{plan.command[0]} cannot be started: {error.strerror}.") from error
    except asyncio.CancelledError:
        ways.close()
        raise
    finally:
        ways.close_theirs()
    try:
        runner = await _child_told(ways.told) if plan.tells_child else process.pid
        return Launched(process, runner, ways.opens)
    except BaseException as error:  # cancelled too: no marker names this process yet
        _close(ways.opens)
        complaint = await to_its_end(_end_half_started(process))
        if not complaint or not isinstance(error, SandboxUnavailable):
            raise
        raise SandboxUnavailable(f"{Path(plan.command[0]).name} failed: {_one_line(complaint)}") from None
    finally:
        _close(ways.told)


def _as_user(uid: int) -> tuple[list[str], dict[str, Any]]:
    """How a command is started as another user: words before it, and what the start itself is asked for.

    A start that changes the user copies the worker's page tables first, which takes longer than a program that does it.
    """
    program = _user_changer()
    if program is None:
        return [], {"user": uid, "group": uid, "extra_groups": []}
    return [program, *_becoming(uid)], {}


def _becoming(uid: int) -> list[str]:
    return [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


@cache
def _user_changer() -> str | None:
    """util-linux's `setpriv`; None where there is none, or one that knows less."""
    program = shutil.which("setpriv", path="/usr/bin:/bin")
    if program is None:
        return None
    tried = subprocess.run(  # noqa: S603
        [program, *_becoming(FIRST), "true"], check=False, capture_output=True, env={}, cwd="/", timeout=DEAD_WITHIN
    )
    return program if tried.returncode == 0 else None


class _Ways:
    """The descriptors between us and a command, by the words that stand for them."""

    def __init__(self, plan: LaunchPlan) -> None:
        self.words: dict[str, str] = {}
        self.theirs: list[int] = []
        self.told = self.opens = -1
        if plan.tells_child:
            self.told, theirs = os.pipe()
            self._hand("info", theirs)
        if plan.gated:
            theirs, self.opens = os.pipe()
            self._hand("gate", theirs)
        for name, text in plan.documents.items():
            theirs, ours = os.pipe()
            os.write(ours, text)
            os.close(ours)
            self._hand(name, theirs)

    @property
    def braced(self) -> frozenset[str]:
        """The words of a command that are to be replaced: whole ones only."""
        return frozenset(f"{{{name}}}" for name in self.words)

    def close_theirs(self) -> None:
        for each in self.theirs:
            os.close(each)

    def close(self) -> None:
        _close(self.told)
        _close(self.opens)

    def _hand(self, name: str, descriptor: int) -> None:
        self.words[name] = str(descriptor)
        self.theirs.append(descriptor)


async def _started(*command: str, **more: Any) -> asyncio.subprocess.Process:
    """Start a process whole, even where whoever waits is cancelled: half a start would never be waited for."""
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, **more))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await to_its_end(_end_half_started(await starting))
        raise


async def _end_half_started(process: asyncio.subprocess.Process) -> bytes:
    """Kill it with all that it has started, and wait for the end of all. Returns what it said on standard error.

    Its own end says nothing of its children: a namespace takes its time to go.
    """
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)  # it must not fork between the next two
    family = [(each, started_at(each)) for each in descendants(process.pid)]
    kill_descendants(process.pid)  # first: a child that waits for its parent's word does not die with it
    with suppress(ProcessLookupError):
        process.kill()
    complaint = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(DEAD_WITHIN):
            _, complaint = await process.communicate()
            while any(is_alive(*each) for each in family):  # noqa: ASYNC110 - the kernel is mute
                await asyncio.sleep(LOOK_EVERY)
    return complaint


async def _child_told(told: int) -> int:
    """The runner's process id, as bubblewrap tells it. To be read whole: a closed pipe would end bubblewrap halfway."""
    loop = asyncio.get_running_loop()
    there = loop.create_future()
    words = b""
    loop.add_reader(told, lambda: there.done() or there.set_result(None))
    try:
        while b"}" not in words:
            await there
            there = loop.create_future()
            part = os.read(told, 4096)
            if not part:
                raise SandboxUnavailable("the sandbox ended before it had begun")
            words += part
    finally:
        loop.remove_reader(told)
    digits = words.partition(b'"child-pid":')[2].split(b",")[0].split(b"}")[0].strip()
    return int(digits)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _one_line(complaint: bytes) -> str:
    return " ".join(complaint.decode("utf-8", "replace").split())[:300]
