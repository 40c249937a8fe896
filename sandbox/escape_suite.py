"""Runs hostile scripts in a sandbox for real, and says of each whether the sandbox held.

The oracle of a case: it ends in time and as expected, it says itself that nothing worked, what it tried is in the
record, the canaries of the host are untouched, and nothing of it is left on the machine.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import PlatformError
from domain.model_calls import ModelAnswer, ModelErrorKind, ModelRequest
from domain.runs import Attempt, Backend, RunPurpose, RunReport, RunRequest
from sandbox.escape_cases import EscapeCase
from sandbox.host_canaries import HostCanaries
from sandbox.local.backend import LocalSandbox
from sandbox.local.markers import RunMarker, RunMarkers
from sandbox.local.residue import residue_of
from sandbox.port import Began, Printed, RunEvent

GRACE = 40.0
"""Seconds beyond a case's own time: start, clean-up, and a machine that does much else."""
_ANSWERS = 200
"""Model calls that are answered; further ones are over a budget."""


@dataclass(frozen=True)
class CaseResult:
    """What came of one case."""

    case: EscapeCase
    report: RunReport | None
    """None where the run was cancelled, or the sandbox failed."""
    complaints: tuple[str, ...]
    """Why the sandbox did not hold; empty where it did."""
    seconds: float
    printed: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether everything was as it must be."""
        return not self.complaints


@dataclass
class _Observed:
    """What was seen of a run from the worker's side."""

    ready: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    marker: RunMarker | None = None
    printed: list[str] = field(default_factory=list[str])
    prompts: list[str] = field(default_factory=list[str])


class EscapeSuite:
    """Tries cases on one backend. Several may be tried at once."""

    def __init__(self, sandbox: LocalSandbox, state: Path, environment: str, canaries: HostCanaries) -> None:
        """`state` is the sandbox's own."""
        self._sandbox = sandbox
        self._markers = RunMarkers(state / sandbox.backend.value)
        self._environment = environment
        self._canaries = canaries

    async def attempt(self, case: EscapeCase) -> CaseResult:
        """Run a case and judge it. Never raises for what a sandbox does wrong."""
        result = await self._attempt(case)
        if case.twice and result.held:
            return await self._attempt(case)
        return result

    async def _attempt(self, case: EscapeCase) -> CaseResult:
        observed, began = _Observed(), time.monotonic()
        request = self._request(case)
        report: RunReport | None = None
        trouble: list[str] = []
        try:
            async with asyncio.timeout(case.timeout + GRACE):
                report = await self._run(case, request, observed)
        except TimeoutError:
            trouble.append(f"it was not over {GRACE:.0f} s after its time")
        except PlatformError as error:
            trouble.append(f"the sandbox failed: {type(error).__name__}: {error}")
        seconds = time.monotonic() - began
        trouble += _wrong_about_end(case, report)
        trouble += [] if report is None else _wrong_about_record(case, report, self._sandbox.backend)
        trouble += await self._left_behind(request.run_id, observed.marker)
        trouble += self._canaries.complaints()
        return CaseResult(case, report, tuple(trouble), seconds, tuple(observed.printed), tuple(observed.prompts))

    async def _left_behind(self, run_id: str, marker: RunMarker | None) -> list[str]:
        left = [] if marker is None else list(residue_of(marker))
        if run_id in await self._sandbox.runs():
            left.append("its marker is left")
        return left

    def _request(self, case: EscapeCase) -> RunRequest:
        return RunRequest(
            run_id=f"escape-{secrets.token_hex(10)}",
            purpose=RunPurpose.TRIAL,
            script=case.script,
            model_id="mock",
            environment=self._environment,
            params=dict(self._canaries.params),
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
            observed.marker = self._markers.read(run_id)
            observed.began.set()
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
        await asyncio.sleep(0.2)  # let it get going
        match case.interrupt:
            case "stop":
                stop.set()
            case "kill":
                await self._sandbox.kill(run_id)
            case _:
                run.cancel()


def _wrong_about_end(case: EscapeCase, report: RunReport | None) -> Iterable[str]:
    outcome = "cancelled" if report is None else report.outcome.value
    if outcome not in case.outcomes:
        message = "" if report is None else report.message[:200]
        yield f"it ended as {outcome}, not as {' or '.join(sorted(case.outcomes))}: {message!r}"
    if report is not None and isinstance(report.result, dict) and report.result.get("escaped") is True:
        yield f"it says that it got out: {str(report.result)[:300]}"


def _wrong_about_record(case: EscapeCase, report: RunReport, backend: Backend) -> Iterable[str]:
    if report.reached_script and not (report.isolation.checks and all(report.isolation.checks.values())):
        yield "a control was not in force"
    if report.isolation.backend is not backend:
        yield f"it ran in {report.isolation.backend}"
    for wanted in case.attempts:
        if not any(is_attempt(each, wanted) for each in report.record.attempts):
            seen = ", ".join(f"{each.kind}:{each.target}" for each in report.record.attempts[:12])
            yield f"{wanted} is not in the record; what is there: {seen}"
    if case.incomplete and report.record.complete:
        yield "its record says that it is complete"
    if not case.incomplete and not report.record.complete and case.interrupt is None:
        yield f"its record is incomplete ({report.record.dropped} dropped)"


def is_attempt(attempt: Attempt, wanted: str) -> bool:
    """Whether an attempt is the one that a case's head names: `kind`, or `kind:part of the target`."""
    kind, _, part = wanted.partition(":")
    return attempt.kind == kind and part in attempt.target
