"""A sandbox that counts what it runs: outcomes, refusals, model calls, and how long a stop took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from activities.clock import now as utc_now
from domain.errors import PlatformError, PodRefused, SandboxUnavailable
from domain.metrics import (
    MODEL_CALL_SECONDS,
    MODEL_CALLS,
    RUN_FAILURES,
    RUN_OUTCOMES,
    RUNS_ALIVE,
    STOP_SECONDS,
)
from domain.model_calls import ModelAnswer, ModelAnswerer, ModelRequest
from domain.runs import Backend, RunPurpose, RunReport, RunRequest
from sandbox.port import RunWatcher, Sandbox
from workflows.metrics import Instruments

if TYPE_CHECKING:
    from collections.abc import Generator

StoppedAt = Callable[[str], Awaitable[datetime | None]]
"""When the stop of an evaluation was journaled, None where none was. Raises StorageUnavailable."""
LOOK_SECONDS = 2.0
"""How long the journal may take to say so. A figure is not worth waiting for."""


class MeteredSandbox:
    """Stands before a sandbox and changes nothing of what it does. Used as an async context manager."""

    def __init__(
        self,
        sandbox: Sandbox,
        instruments: Instruments,
        stopped_at: StoppedAt,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._sandbox = sandbox
        self._instruments = instruments
        self._stopped_at = stopped_at
        self._now = now
        self._alive = dict.fromkeys(RunPurpose, 0)
        self._looks: set[asyncio.Task[None]] = set()
        for purpose in RunPurpose:  # an increase is seen from a 0 on, not from nothing
            for refusal in (SandboxUnavailable, PodRefused):
                words = {"purpose": purpose.value, "backend": self.backend.value}
                instruments.add(RUN_FAILURES, 0, code=refusal.code, **words)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*self._looks)

    @property
    def backend(self) -> Backend:
        """Whose runs these are."""
        return self._sandbox.backend

    async def run(
        self, request: RunRequest, *, answer: ModelAnswerer, watch: RunWatcher, stop: asyncio.Event
    ) -> RunReport:
        """Run it, and count how it ended."""
        words = {"purpose": request.purpose.value, "backend": self.backend.value}
        timed = _timed(answer, self._instruments, request.purpose)
        with self._counted_alive(request.purpose):
            try:
                report = await self._sandbox.run(request, answer=timed, watch=watch, stop=stop)
            except PlatformError as error:
                self._instruments.count(RUN_FAILURES, code=error.code, **words)
                raise
            except asyncio.CancelledError:  # everything of it is dead now: the port says so
                self._look_for_stop(request)
                raise
        if stop.is_set():
            self._look_for_stop(request)
        self._instruments.count(RUN_OUTCOMES, outcome=report.outcome.value, **words)
        return report

    async def kill(self, run_id: str) -> bool:
        """End whatever is left of a run."""
        return await self._sandbox.kill(run_id)

    @contextmanager
    def _counted_alive(self, purpose: RunPurpose) -> Generator[None]:
        self._put_alive(purpose, 1)
        try:
            yield
        finally:
            self._put_alive(purpose, -1)

    def _put_alive(self, purpose: RunPurpose, more: int) -> None:
        self._alive[purpose] += more
        self._instruments.put(RUNS_ALIVE, self._alive[purpose], purpose=purpose.value)

    def _look_for_stop(self, request: RunRequest) -> None:
        look = asyncio.create_task(self._observe_stop(request, self._now()))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    async def _observe_stop(self, request: RunRequest, dead_at: datetime) -> None:
        with suppress(PlatformError, TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                ordered = await self._stopped_at(request.run_id.partition("-")[0])
            if ordered is not None:
                seconds = (dead_at - ordered).total_seconds()
                self._instruments.observe(STOP_SECONDS, seconds, purpose=request.purpose.value)


def _timed(answer: ModelAnswerer, instruments: Instruments, purpose: RunPurpose) -> ModelAnswerer:
    async def timed(request: ModelRequest) -> ModelAnswer:
        began = time.perf_counter()
        given = await answer(request)
        result = "answered" if given.error is None else given.error.value
        instruments.count(MODEL_CALLS, purpose=purpose.value, result=result)
        instruments.observe(MODEL_CALL_SECONDS, time.perf_counter() - began, purpose=purpose.value)
        return given

    return timed
