"""Scripted stand-ins for what is slow or dangerous: a sandbox whose runs go as the test says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from domain.model_calls import ModelAnswer, ModelAnswerer, ModelErrorKind, ModelRequest
from domain.outcomes import RunOutcome
from domain.runs import Attempt, Backend, Isolation, RunPurpose, RunRecord, RunReport, RunRequest
from sandbox.port import Asked, Began, Printed, RunEvent, RunWatcher, Tried

ENVIRONMENT_DIGEST = "e" * 64


@dataclass
class Scene:
    """How a run goes: what it prints, tries and asks, and how it ends."""

    outcome: RunOutcome = RunOutcome.COMPLETED
    prints: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    asks: tuple[ModelRequest, ...] = ()
    endless: bool = False
    """Goes on until it is stopped, killed or cancelled."""
    raises: BaseException | None = None
    """How the platform fails, after the run began; `before` tells that it never did."""
    before: bool = False
    complete: bool = True
    reached_script: bool = True
    result: object = "a result"
    message: str = ""
    level: int = 2
    environment_digest: str = ENVIRONMENT_DIGEST


@dataclass
class FakeSandbox:
    """A sandbox that runs nothing. `alive` holds the runs that have not ended; `asked` and `killed` what came in."""

    trial: Scene = field(default_factory=Scene)
    execution: Scene = field(default_factory=Scene)
    asked: list[RunRequest] = field(default_factory=list[RunRequest])
    answers: list[ModelAnswer] = field(default_factory=list[ModelAnswer])
    killed: list[str] = field(default_factory=list[str])
    alive: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    began: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a run is under way and endless."""
    backend: Backend = Backend.BUBBLEWRAP

    async def run(
        self, request: RunRequest, *, answer: ModelAnswerer, watch: RunWatcher, stop: asyncio.Event
    ) -> RunReport:
        """Play the scene of the request's purpose."""
        scene = self.trial if request.purpose is RunPurpose.TRIAL else self.execution
        self.asked.append(request)
        if scene.before and scene.raises is not None:
            raise scene.raises
        kill = self.alive[request.run_id] = asyncio.Event()
        try:
            await self._play(scene, watch, answer)
            ended = not scene.endless or await self._outlast(kill, stop)
            return _report(request, scene, self.backend, scene.outcome if ended else RunOutcome.STOPPED)
        finally:
            del self.alive[request.run_id]

    async def kill(self, run_id: str) -> bool:
        """End a run, if it is alive."""
        self.killed.append(run_id)
        event = self.alive.get(run_id)
        if event is None:
            return False
        event.set()
        while run_id in self.alive:
            await asyncio.sleep(0)
        return True

    async def _play(self, scene: Scene, watch: RunWatcher, answer: ModelAnswerer) -> None:
        events: list[RunEvent] = [_began(scene, self.backend)]
        events += [Printed(frame=10 + n, stream="stdout", text=text) for n, text in enumerate(scene.prints)]
        events += [Tried(frame=1000 + n, attempt=attempt) for n, attempt in enumerate(scene.attempts)]
        for event in events:
            await watch(event)
        for n, asked in enumerate(scene.asks):
            given = await answer(asked)
            self.answers.append(given)
            await watch(Asked(frame=2000 + n, request=asked, answer=given, milliseconds=1))
        if scene.raises is not None:
            raise scene.raises

    async def _outlast(self, kill: asyncio.Event, stop: asyncio.Event) -> bool:
        self.began.set()
        waits = [asyncio.ensure_future(kill.wait()), asyncio.ensure_future(stop.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return False


async def no_model(request: ModelRequest) -> ModelAnswer:
    """Answer nothing."""
    return ModelAnswer(call=request.call, error=ModelErrorKind.UNAVAILABLE, message="no model here")


def _began(scene: Scene, backend: Backend) -> Began:
    isolation = Isolation(backend=backend, level=scene.level, checks={"no_network": True})
    return Began(frame=1, isolation=isolation, environment_digest=scene.environment_digest)


def _report(request: RunRequest, scene: Scene, backend: Backend, outcome: RunOutcome) -> RunReport:
    completed = outcome is RunOutcome.COMPLETED
    return RunReport.model_validate(
        {
            "run_id": request.run_id,
            "outcome": outcome,
            "exit_code": 0 if completed else None,
            "reached_script": scene.reached_script,
            "message": scene.message,
            "has_result": completed and scene.result is not None,
            "result": scene.result if completed else None,
            "isolation": Isolation(backend=backend, level=scene.level, checks={"no_network": True}),
            "record": RunRecord(attempts=scene.attempts, complete=scene.complete),
            "environment_digest": scene.environment_digest,
        }
    )
