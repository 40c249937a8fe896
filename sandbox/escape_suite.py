"""Runs hostile scripts in a sandbox for real, and says of each whether the sandbox held.

The oracle of a case: it ends in time and as expected, it says itself that nothing worked, what it tried is in the
record, the canaries of the host are untouched, nothing of it is left on the machine, and honest runs beside it get
their right results, so that the service is alive too.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from domain.errors import PlatformError
from domain.model_calls import ModelAnswer, ModelErrorKind, ModelRequest
from domain.runs import RunPurpose, RunReport, RunRequest
from sandbox.escape_cases import NEIGHBOUR, EscapeCase, read_case
from sandbox.escape_oracle import CaseResult, wrong_about_end, wrong_about_neighbour, wrong_about_record
from sandbox.host_canaries import HostCanaries
from sandbox.local.residue import MarkedSandbox
from sandbox.port import Began, Printed, RunEvent, Sandbox
from sandbox.profiles.tables import gives

GRACE = 40.0
"""Seconds beyond a case's own time: start, clean-up, and a machine that does much else."""
AT_ONCE = 4
"""Cases that are tried at the same time."""
_SETTLES = 0.2
"""Seconds from a case's `ready` to its interruption: it gets going."""
_ANSWERS = 200
"""Model calls that are answered; further ones are over a budget."""


class Leftovers(Protocol):
    """Knows where the runs of a sandbox could leave something."""

    def remember(self, run_id: str) -> None:
        """Take down what a run has, while it is alive."""
        ...

    async def of(self, request: RunRequest) -> tuple[str, ...]:
        """What is left of a run that has ended; empty where nothing is."""
        ...


@dataclass
class _Observed:
    """What was seen of a run from the worker's side."""

    ready: asyncio.Event = field(default_factory=asyncio.Event)
    printed: list[str] = field(default_factory=list[str])
    prompts: list[str] = field(default_factory=list[str])


class EscapeSuite:
    """Tries cases on one backend. Several may be tried at once."""

    def __init__(
        self,
        sandbox: Sandbox | MarkedSandbox,
        leftovers: Leftovers,
        environment: str,
        canaries: HostCanaries,
        *,
        unrecorded: frozenset[str] = frozenset(),
        grace: float = GRACE,
    ) -> None:
        """`unrecorded` are the system calls that fail in this sandbox before its recorder hears of them."""
        self._sandbox = sandbox
        self._leftovers = leftovers
        self._unrecorded = unrecorded
        self._environment = environment
        self._canaries = canaries
        self._grace = grace
        self._neighbours = _Neighbours(self)

    async def attempt(self, case: EscapeCase) -> CaseResult:
        """Run a case and judge it. Never raises for what a sandbox does wrong."""
        result = await self._attempt(case)
        if case.twice and result.held:
            return await self._attempt(case)
        return result

    async def attempt_beside_honest_runs(self, case: EscapeCase) -> CaseResult:
        """The same, with one honest run after the other beside it, whose ends count too."""
        async with self._neighbours.beside() as neighbours:
            result = await self.attempt(case)
        disturbed = [complaint for each in neighbours for complaint in wrong_about_neighbour(each)]
        return CaseResult(
            case, result.report, (*result.complaints, *disturbed), result.seconds, result.printed, result.prompts
        )

    async def _attempt(self, case: EscapeCase) -> CaseResult:
        observed, began = _Observed(), time.monotonic()
        request = self._request(case)
        report: RunReport | None = None
        trouble: list[str] = []
        try:
            async with asyncio.timeout(case.timeout + self._grace):
                report = await self._run(case, request, observed)
        except TimeoutError:
            trouble.append(f"it was not over {self._grace:.0f} s after its time")
        except PlatformError as error:
            trouble.append(f"the sandbox failed: {type(error).__name__}: {error}")
        seconds = time.monotonic() - began
        trouble += wrong_about_end(case, report, self._sandbox.backend)
        trouble += [] if report is None else wrong_about_record(case, report, self._sandbox.backend, self._unrecorded)
        trouble += await self._leftovers.of(request)
        trouble += self._canaries.complaints()
        return CaseResult(case, report, tuple(trouble), seconds, tuple(observed.printed), tuple(observed.prompts))

    def _request(self, case: EscapeCase) -> RunRequest:
        return RunRequest(
            run_id=f"escape-{secrets.token_hex(10)}",
            purpose=RunPurpose.TRIAL if gives(self._sandbox.backend, "attempts") else RunPurpose.EXECUTION,
            script=case.script,
            model_id="mock",
            environment=self._environment,
            params=dict(self._canaries.params),
            seed=secrets.randbelow(1 << 32),  # its processes can be told by it
            timeout_seconds=case.timeout,
            limits=case.limits,
        )

    async def _run(self, case: EscapeCase, request: RunRequest, observed: _Observed) -> RunReport | None:
        stop = asyncio.Event()
        if case.interrupt == "before":
            stop.set()

        async def watch(event: RunEvent) -> None:
            self._observe(event, request.run_id, observed)

        async def answer(asked: ModelRequest) -> ModelAnswer:
            observed.prompts += [message.content for message in asked.messages]
            if len(observed.prompts) > _ANSWERS:
                return ModelAnswer(call=asked.call, error=ModelErrorKind.BUDGET, message="used up")
            return ModelAnswer(call=asked.call, text="a canned answer")

        run = asyncio.create_task(self._sandbox.run(request, answer=answer, watch=watch, stop=stop))
        try:
            await self._interrupt(case, request.run_id, run, observed, stop)
            return await run
        except asyncio.CancelledError:
            if case.interrupt == "cancel" and run.done():
                return None
            run.cancel()
            await asyncio.wait([run])
            raise

    def _observe(self, event: RunEvent, run_id: str, observed: _Observed) -> None:
        if isinstance(event, Began):
            self._leftovers.remember(run_id)
        elif isinstance(event, Printed):
            if len(observed.printed) < 10_000:
                observed.printed.append(event.text)
            if event.text.strip() == "ready":
                observed.ready.set()

    async def _interrupt(
        self, case: EscapeCase, run_id: str, run: asyncio.Task[RunReport], observed: _Observed, stop: asyncio.Event
    ) -> None:
        if case.interrupt in {None, "before"}:
            return
        ready = asyncio.create_task(observed.ready.wait())
        await asyncio.wait([ready, run], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        await asyncio.sleep(_SETTLES)
        match case.interrupt:
            case "stop":
                stop.set()
            case "kill":
                await self._sandbox.kill(run_id)
            case _:
                run.cancel()


class _Neighbours:
    """Honest runs, one after the other, for as long as any hostile one is under way: shared by all of those."""

    def __init__(self, suite: EscapeSuite) -> None:
        self._suite = suite
        self._case = read_case(NEIGHBOUR)
        self._watching = 0
        self._run: asyncio.Task[CaseResult] | None = None

    @asynccontextmanager
    async def beside(self) -> AsyncGenerator[Sequence[CaseResult]]:
        """The results of all honest runs that were under way at the same time: at least one, at its end."""
        seen: list[CaseResult] = []
        over = asyncio.Event()
        self._watching += 1
        watching = asyncio.create_task(self._watch(seen, over))
        try:
            yield seen
            over.set()
            await watching
        finally:
            self._watching -= 1
            watching.cancel()
            if self._watching == 0 and self._run is not None and not self._run.done():
                self._run.cancel()
                await asyncio.wait([self._run])

    async def _watch(self, seen: list[CaseResult], over: asyncio.Event) -> None:
        while not over.is_set() or not seen:
            if self._run is None or self._run.done():
                self._run = asyncio.create_task(self._suite.attempt(self._case))
            seen.append(await asyncio.shield(self._run))
