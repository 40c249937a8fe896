"""A sandbox that does everything right but one thing: the oracle has to notice which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from domain.model_calls import ModelAnswerer
from domain.outcomes import RunOutcome
from domain.runs import Attempt, Backend, Isolation, RunRecord, RunReport, RunRequest
from sandbox.escape_oracle import HONEST_RESULT
from sandbox.local.markers import RunMarker, RunMarkers
from sandbox.port import Began, Printed, RunWatcher

ATTEMPT = Attempt(kind="connect", target="127.0.0.1:80", allowed=False)


class LeakySandbox:
    """Runs nothing. Its runs are as `marker` says, and `leak` is done before one ends."""

    backend: ClassVar[Backend] = Backend.LANDLOCK

    def __init__(self, state: Path, leak: Callable[[RunRequest], object] = id, **marker: object) -> None:
        self._markers = RunMarkers(state / self.backend.value)
        self._marker = marker
        self._leak = leak
        self.report: dict[str, object] = {}
        self.result: object = HONEST_RESULT
        self.forgets_marker = True
        self.sleeps = 0.0

    async def run(
        self,
        request: RunRequest,
        *,
        answer: ModelAnswerer,  # noqa: ARG002
        watch: RunWatcher,
        stop: asyncio.Event,  # noqa: ARG002
    ) -> RunReport:
        isolation = Isolation(backend=self.backend, level=1, checks={"seccomp": True})
        self._markers.write(self._marker_of(request.run_id))
        await watch(Began(frame=1, isolation=isolation, environment_digest=""))
        await watch(Printed(frame=2, stream="stdout", text="ready"))
        self._leak(request)
        await asyncio.sleep(self.sleeps)
        if self.forgets_marker:
            self._markers.remove(request.run_id)
        said = {
            "run_id": request.run_id,
            "outcome": RunOutcome.COMPLETED,
            "isolation": isolation,
            "record": RunRecord(attempts=(ATTEMPT,), complete=True),
            "result": self.result,
            "has_result": True,
        }
        return RunReport.model_validate({**said, **self.report})

    async def kill(self, run_id: str) -> bool:  # noqa: ARG002
        return False

    async def runs(self) -> tuple[str, ...]:
        return self._markers.run_ids()

    def _marker_of(self, run_id: str) -> RunMarker:
        nobody = {
            "worker": 1, "worker_started": 0, "launcher": 1, "launcher_started": 0, "runner": 1, "runner_started": 0,
        }  # fmt: skip
        return RunMarker.model_validate({"run_id": run_id, **nobody, **self._marker})
