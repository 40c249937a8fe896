"""Every backend that this machine can have. One that it cannot is a failure where AIRLOCK_REQUIRE_SANDBOXES=1, and pods
are required where AIRLOCK_REQUIRE_CLUSTER=1.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from domain.environments import Environment
from domain.errors import SandboxUnavailable
from domain.limits import RunLimits
from domain.model_calls import ModelAnswer, ModelRequest
from domain.runs import RunPurpose, RunReport, RunRequest
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.environment_description import describe_environment
from sandbox.gvisor import GvisorSandbox
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.landlock import LandlockSandbox
from sandbox.local.backend import LocalSandbox
from sandbox.port import Printed, RunEvent, Sandbox, Tried
from sandbox.profiles.tables import gives
from tests.sandbox.kubernetes.world import World

BACKENDS = {"landlock": LandlockSandbox, "bubblewrap": BubblewrapSandbox, "gvisor": GvisorSandbox}
LEVELS = {"landlock": 1, "bubblewrap": 2, "gvisor": 3, "kubernetes": 2}
PYTHON = Path("/usr/bin/python3")


class RealSandbox(Sandbox, Protocol):
    """A sandbox that can be asked what is left."""

    async def runs(self) -> tuple[str, ...]: ...


@dataclass
class Bench:
    """A sandbox, and what its last run told."""

    sandbox: RealSandbox
    opened: str
    """How another process opens the same: an expression for `async with`."""
    imports: str
    """What that needs."""
    environment: Environment
    dies_with_worker: bool = True
    """Whether a run ends at once where its worker is killed. A pod goes on, for its kubelet knows no worker."""
    events: list[RunEvent] = field(default_factory=list[RunEvent])
    asked: list[ModelRequest] = field(default_factory=list[ModelRequest])
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    name: str = field(default_factory=lambda: secrets.token_hex(4))
    runs: int = 0
    most_at_once: int = 0
    in_flight: int = 0

    async def run(self, script: str | bytes, *, run_id: str | None = None, **more: Any) -> RunReport:
        self.runs += 1
        request = self.request(script, run_id or f"run-{self.name}-{self.runs}", **more)
        return await self.sandbox.run(request, answer=self.answer, watch=self.watch, stop=self.stop)

    @property
    def records(self) -> bool:
        return gives(self.sandbox.backend, "attempts")

    def request(self, script: str | bytes, run_id: str = "run", **more: object) -> RunRequest:
        """A trial, where the sandbox holds any."""
        more.setdefault("purpose", RunPurpose.TRIAL if self.records else RunPurpose.EXECUTION)
        return a_run(script, run_id, **more)  # type: ignore[arg-type]

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


_REFUSALS: dict[str, str] = {}
"""Why this machine cannot have a backend, by its name; empty where it can: asked once."""


async def require(sandbox: LocalSandbox) -> None:
    """Skip where this machine cannot have it; fail where it has to."""
    name = sandbox.backend.value
    if name not in _REFUSALS:
        try:
            await sandbox.probe()
            _REFUSALS[name] = ""
        except SandboxUnavailable as refusal:
            _REFUSALS[name] = f"this machine cannot have {name}: {refusal.message} {refusal.evidence}"
    if not _REFUSALS[name]:
        return
    optional = name == "gvisor" and shutil.which("runsc") is None
    if os.environ.get("AIRLOCK_REQUIRE_SANDBOXES") == "1" and not optional:
        pytest.fail(_REFUSALS[name])
    pytest.skip(_REFUSALS[name])


@pytest.fixture(params=[name for name, kind in BACKENDS.items() if kind.stays])
async def staying(request: pytest.FixtureRequest, environment: Environment, state: Path) -> Bench:
    """A backend whose scripts run in a fork of their runner."""
    sandbox = BACKENDS[request.param]({"default": environment}, state)
    await require(sandbox)
    return Bench(sandbox, "", "", environment)


@pytest.fixture(
    params=[
        "bubblewrap",
        "landlock",
        pytest.param("gvisor", marks=pytest.mark.slow),  # its start takes ten times theirs
        pytest.param("kubernetes", marks=pytest.mark.cluster),
    ]
)
async def bench(request: pytest.FixtureRequest, environment: Environment, state: Path) -> AsyncGenerator[Bench]:
    if request.param == "kubernetes":
        world, namespace = request.getfixturevalue("pods")
        opening = on_pods(world, namespace, environment)
    else:
        opening = on_this_machine(request.param, environment, state)
    async with opening as bench:
        yield bench


@asynccontextmanager
async def on_this_machine(name: str, environment: Environment, state: Path) -> AsyncGenerator[Bench]:
    kind = BACKENDS[name]
    sandbox = kind({"default": environment}, state)
    await require(sandbox)
    opened = f"nullcontext({kind.__name__}({{'default': environment}}, Path({str(state)!r})))"
    imports = f"from contextlib import nullcontext\nfrom {kind.__module__} import {kind.__name__}"
    yield Bench(sandbox, opened, imports, environment)
    assert await sandbox.runs() == ()
    assert list((state / "scratch").glob("*")) == []


@asynccontextmanager
async def on_pods(world: World, namespace: str, environment: Environment) -> AsyncGenerator[Bench]:
    placement = world.placement(namespace)
    opened = (
        f"KubernetesSandbox.opened(Path({str(world.kubeconfig)!r}), "
        f"Placement.model_validate_json({placement.model_dump_json()!r}), {{'default': environment}})"
    )
    imports = (
        "from sandbox.kubernetes.backend import KubernetesSandbox\nfrom sandbox.kubernetes.manifest import Placement"
    )
    async with KubernetesSandbox.opened(world.kubeconfig, placement, {"default": environment}) as sandbox:
        yield Bench(sandbox, opened, imports, environment, dies_with_worker=False)
