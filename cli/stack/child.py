"""One process of the embedded stack: started, watched, started again when it dies, stopped for good."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a dead process is started again; doubled each time."""
HEALTHY_AFTER = 60.0
"""Seconds of life after which the next death counts as the first again."""
STOP_SECONDS = 15.0
"""What a process gets to end by itself after SIGTERM. Then its whole group is killed."""
LAST_LINES, LINE_LETTERS = 6, 300
"""Of its log, shown where it cannot be started."""
LOG_TAIL_BYTES = 20_000


@dataclass(frozen=True)
class Program:
    """What is run."""

    name: str
    argv: Sequence[str]
    """The first is an absolute path."""
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], Awaitable[bool]]
    """Whether it does its work by now."""
    umask: int = 0o022
    """Runs have users of their own, who go through our directories; what is secret sets its own mode."""
    starting: Callable[[], None] = lambda: None
    """Called before each start."""


class NotReady(Exception):
    """A process of the stack does not come up. Its text says which, and the end of its log."""


class Child:
    """Keeps a program running, from entry to exit of the context."""

    def __init__(self, program: Program, tell: Callable[[str], None], holds: Sequence[int] = ()) -> None:
        """`holds` are descriptors that stay open for as long as it lives, whatever becomes of us."""
        self.program = program
        self._holds = holds
        self.deaths = 0
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._start()
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._stop()

    async def until_ready(self, within: float) -> None:
        """Return when it works. Raises NotReady after `within` seconds, or when it has died three times."""
        try:
            async with asyncio.timeout(within):
                while not await self.program.ready():
                    if self.deaths >= 3:
                        break
                    await asyncio.sleep(0.1)
                else:
                    return
        except TimeoutError:
            pass
        raise NotReady(f"{self.program.name} does not come up. Its log ends:\n{self._last_words()}")

    async def _start(self) -> None:
        self.program.starting()
        self.program.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        tied = (sys.executable, "-I", "-m", "cli.stack.tied", str(os.getpid()), *self.program.argv)
        with self.program.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tied,
                env=dict(self.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=self.program.umask,
                pass_fds=self._holds,
                start_new_session=True,  # Ctrl-C is for us: we stop it in order
            )

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        pause, began, how = FIRST_PAUSE, clock(), await self._end()
        while True:
            self.deaths += 1
            if clock() - began > HEALTHY_AFTER:
                pause = FIRST_PAUSE
            self._tell(f"{self.program.name} {how}: it is started again in {pause:g} s (see {self.program.log}).")
            await asyncio.sleep(pause)
            pause, began = min(2 * pause, LONGEST_PAUSE), clock()
            try:
                await self._start()
                how = await self._end()
            except OSError as error:  # a disk that is full, for instance: it may not be for ever
                how = f"cannot be started ({error.strerror})"

    async def _end(self) -> str:
        """Wait for its end. Returns how it ended."""
        assert self._process is not None
        code = await self._process.wait()
        self._kill_group()
        return f"ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def _stop(self) -> None:
        if self._process is None:
            return
        process = self._process
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        self._kill_group()
        await process.wait()

    def _kill_group(self) -> None:
        """Whatever it has left behind, or itself. Once only: later its number may be another's."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process = None

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            with self.program.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
            return "\n".join(line[:LINE_LETTERS] for line in lines[-LAST_LINES:])
        return ""
