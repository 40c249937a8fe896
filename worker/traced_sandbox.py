"""A sandbox whose runs are spans of the trace that their evaluation began."""

from __future__ import annotations

import asyncio

from domain.errors import PlatformError
from domain.model_calls import ModelAnswerer
from domain.runs import Backend, RunReport, RunRequest
from sandbox.port import RunWatcher, Sandbox
from workflows.traces import Traces


class TracedSandbox:
    """Stands before a sandbox and changes nothing of what it does. The script is told nothing of its trace."""

    def __init__(self, sandbox: Sandbox, traces: Traces) -> None:
        self._sandbox, self._traces = sandbox, traces

    @property
    def backend(self) -> Backend:
        """Whose runs these are."""
        return self._sandbox.backend

    async def run(
        self, request: RunRequest, *, answer: ModelAnswerer, watch: RunWatcher, stop: asyncio.Event
    ) -> RunReport:
        """Run it within a span."""
        words = {
            "airlock.run_id": request.run_id,
            "airlock.purpose": request.purpose.value,
            "airlock.backend": self.backend.value,
        }
        with self._traces.span("run", words) as span:
            try:
                report = await self._sandbox.run(request, answer=answer, watch=watch, stop=stop)
            except PlatformError as error:
                span.set_attribute("airlock.code", error.code)
                raise
            span.set_attribute("airlock.outcome", report.outcome.value)
            span.set_attribute("airlock.isolation_level", report.isolation.level)
            return report

    async def kill(self, run_id: str) -> bool:
        """End whatever is left of a run."""
        return await self._sandbox.kill(run_id)
