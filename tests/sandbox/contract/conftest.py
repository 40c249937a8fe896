"""Every backend that this machine can have. One that it cannot is a failure where AIRLOCK_REQUIRE_SANDBOXES=1."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from domain.environments import Environment
from domain.errors import SandboxUnavailable
from domain.limits import RunLimits
from domain.model_calls import ModelAnswer, ModelRequest
from domain.runs import RunPurpose, RunReport, RunRequest
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.environment_description import describe_environment
from sandbox.landlock import LandlockSandbox
from sandbox.local.backend import LocalSandbox
from sandbox.port import Printed, RunEvent, Tried

BACKENDS = {"landlock": LandlockSandbox, "bubblewrap": BubblewrapSandbox}
PYTHON = Path("/usr/bin/python3")


@dataclass
class Bench:
    """A sandbox, and what its last run told."""

    sandbox: LocalSandbox
    state: Path
    events: list[RunEvent] = field(default_factory=list[RunEvent])
    asked: list[ModelRequest] = field(default_factory=list[ModelRequest])
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    runs: int = 0
    most_at_once: int = 0
    in_flight: int = 0

    async def run(self, script: str | bytes, *, run_id: str | None = None, **more: object) -> RunReport:
        self.runs += 1
        return await self.sandbox.run(
            a_run(script, run_id or f"run-{self.runs}", **more), answer=self.answer, watch=self.watch, stop=self.stop
        )

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        self.asked.append(request)
        self.in_flight += 1
        self.most_at_once = max(self.most_at_once, self.in_flight)
        await asyncio.sleep(0.02)
        self.in_flight -= 1
        return ModelAnswer(call=request.call, text=f"answer to {request.messages[-1].content}")

    async def watch(self, event: RunEvent) -> None:
        self.events.append(event)

    @property
    def printed(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Printed))

    def tried(self, kind: str) -> list[str]:
        return [e.attempt.target for e in self.events if isinstance(e, Tried) and e.attempt.kind == kind]


def a_run(script: str | bytes, run_id: str = "run", *, limits: RunLimits | None = None, **more: object) -> RunRequest:
    """A trial of a script, within 20 seconds."""
    return RunRequest.model_validate(
        {
            "run_id": run_id,
            "purpose": RunPurpose.TRIAL,
            "script": script if isinstance(script, bytes) else script.encode(),
            "model_id": "mock",
            "environment": "default",
            "timeout_seconds": 20,
            "limits": limits or RunLimits(),
            **more,
        }
    )


@pytest.fixture(scope="session")
def environment() -> Environment:
    return describe_environment("default", PYTHON, "the standard library")


@pytest.fixture
def state() -> Generator[Path]:
    """Where the users of runs may enter: pytest closes its own directories."""
    with tempfile.TemporaryDirectory(prefix="airlock-contract-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.fixture(params=sorted(BACKENDS))
async def bench(request: pytest.FixtureRequest, environment: Environment, state: Path) -> AsyncGenerator[Bench]:
    sandbox = BACKENDS[request.param]({"default": environment}, state)
    try:
        await sandbox.probe()
    except SandboxUnavailable as refusal:
        words = f"this machine cannot have {request.param}: {refusal.message} {refusal.evidence}"
        if os.environ.get("AIRLOCK_REQUIRE_SANDBOXES") == "1":
            pytest.fail(words)
        pytest.skip(words)
    yield Bench(sandbox, state)
    assert await sandbox.runs() == ()
    assert list((state / "scratch").glob("*")) == []
