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
LAST_BYTES = 2000
"""Of its log, shown where it cannot be started."""


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

    def __init__(self, program: Program, tell: Callable[[str], None]) -> None:
        self.program = program
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
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        tied = (sys.executable, "-I", "-m", "cli.stack.tied", str(os.getpid()), *self.program.argv)
        with self.program.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tied,
                env=dict(self.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=self.program.umask,
                start_new_session=True,  # Ctrl-C is for us: we stop it in order
            )

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        while self._process is not None:
            began = clock()
            code = await self._process.wait()
            self.deaths += 1
            if clock() - began > HEALTHY_AFTER:
                pause = FIRST_PAUSE
            how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            self._tell(f"{self.program.name} ended {how}: it is started again in {pause:g} s (see {self.program.log}).")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            await self._start()

    async def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):  # whatever it has left behind, or itself
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return self.program.log.read_bytes()[-LAST_BYTES:].decode(errors="replace")
        return ""
