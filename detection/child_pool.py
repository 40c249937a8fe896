"""Pre-started child processes that can be killed: whatever reads an untrusted script does it in one of these."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from detection.child_protocol import HEADER, MAX_FRAME_BYTES, Frame, pack
from domain.errors import AnalyserFailed

START_SECONDS = 20
"""A child that is not ready by then will not be: a loaded machine needs a second."""


class ChildLate(Exception):
    """No answer came in time. The child, if one was at work, has been killed."""


class ChildDied(Exception):
    """The child ended instead of answering."""


class _Child:
    """One process. It answers one request at a time, in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], hello: bytes) -> Self:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8"},
            start_new_session=True,  # a Ctrl-C in the owner's terminal is the owner's to handle
        )
        child = cls(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                await child.ask(hello)
        except BaseException:  # cancelled too: nobody else knows of this child yet
            child.kill()
            await child.reap()
            raise
        return child

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, request: bytes) -> Frame:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(request)
            await self._process.stdin.drain()
            (length,) = HEADER.unpack(await self._process.stdout.readexactly(HEADER.size))
            if length > MAX_FRAME_BYTES:
                raise ChildDied("answered more than it may")
            return json.loads(await self._process.stdout.readexactly(length))
        except (ConnectionError, asyncio.IncompleteReadError) as died:
            raise ChildDied("ended instead of answering") from died

    def kill(self) -> None:
        """End the process. Does not wait: that is its watcher's to do, who would else be told of an unknown child.

        `Process.kill` asks first whether the process has ended, and takes the answer from the watcher if it has.
        """
        if self.alive:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(self._process.pid, signal.SIGKILL)

    async def reap(self) -> None:
        """Read what is left and wait: until then the process and its pipes are not gone."""
        await self._process.communicate()
        if self._process.stdin is not None:
            with suppress(ConnectionError):  # it died while we wrote: `ask` has said so, and the log need not
                await self._process.stdin.wait_closed()


class ChildPool:
    """`size` children of one command. Used as an async context manager; none of them outlives it."""

    def __init__(self, command: Sequence[str], hello: Frame, size: int = 2) -> None:
        self._command, self._hello, self._size = tuple(command), pack(hello), size
        self._idle: asyncio.Queue[_Child | None] = asyncio.Queue()
        self._children: set[_Child] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._waiting = 0
        self._closed = False
        self._fault = ""

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for child in self._children:
            child.kill()
        while self._tasks or self._children:
            self._reap_all()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # from Python 3.12 on, gathering what is done lets nobody else run

    def start(self) -> None:
        """Begin to start the children that are lacking. Returns at once."""
        while not self._closed and len(self._children) + self._starting < self._size:
            self._starting += 1
            self._own(self._start_one())

    async def ready(self) -> None:
        """Wait until every child that is being started is ready. Raises AnalyserFailed where none can be."""
        while self._starting:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        if not self._children:
            raise AnalyserFailed("a child process for reading scripts cannot be started", self._fault)

    async def ask(self, request: Frame, deadline: float) -> Frame:
        """The answer of a child, by `deadline` on the loop's clock.

        Raises ChildLate, ChildDied, or AnalyserFailed where no child can be started or one has a bug.
        """
        packed = pack(request)
        try:
            async with asyncio.timeout_at(deadline):
                child = await self._take()
                return await self._ask(child, packed)
        except TimeoutError:
            raise ChildLate("no answer in time") from None

    async def _ask(self, child: _Child, request: bytes) -> Frame:
        try:
            reply = await child.ask(request)
        except BaseException:  # late, cancelled or dead: its next answer would belong to this request
            self._discard(child)
            raise
        if reply.get("retire"):
            self._discard(child)
        else:
            self._idle.put_nowait(child)
        if "failed" in reply:
            raise AnalyserFailed("a child process for reading scripts failed by itself", str(reply["failed"]))
        return reply

    async def _take(self) -> _Child:
        while True:
            self.start()
            self._waiting += 1
            try:
                child = await self._idle.get()
            finally:
                self._waiting -= 1
            if child is None:
                raise AnalyserFailed("a child process for reading scripts cannot be started", self._fault)
            if child.alive:
                return child
            self._discard(child)

    def _discard(self, child: _Child) -> None:
        child.kill()
        self._reap(child)
        self.start()

    def _reap(self, child: _Child) -> None:
        if child in self._children:
            self._children.discard(child)
            self._own(child.reap())

    def _reap_all(self) -> None:
        for child in tuple(self._children):
            child.kill()
            self._reap(child)

    async def _start_one(self) -> None:
        try:
            child = await _Child.start(self._command, self._hello)
        except (OSError, ChildDied, TimeoutError) as failed:
            self._fault = f"{type(failed).__name__}: {failed}"
            for _ in range(self._waiting):
                self._idle.put_nowait(None)
        else:
            self._children.add(child)
            self._idle.put_nowait(child)
        finally:
            self._starting -= 1

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
