"""A run that is stopped, killed, cancelled, delivered twice or orphaned at any moment ends once and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.environments import Environment
from domain.errors import SandboxUnavailable
from domain.model_calls import ModelAnswer, ModelRequest
from domain.outcomes import RunOutcome
from domain.runs import RunPurpose, RunReport, RunRequest
from sandbox.local.backend import LocalSandbox
from sandbox.local.markers import RunMarker, RunMarkers
from sandbox.local.residue import residue_of
from sandbox.port import Began, Printed, RunEvent
from tests.sandbox.escapes.conftest import BACKENDS, offered
from tests.slices import slice_of

pytestmark = pytest.mark.sandbox
ENDINGS = {RunOutcome.STOPPED, RunOutcome.COMPLETED}
MOMENTS = [0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3]
"""Seconds from the request: before the launcher, in the start, in the self-check, in the script, at its end."""
SCRIPT = b"""
import os, time
def evaluate_model(model):
    if os.fork() == 0:
        os.setsid()
        while True: pass
    time.sleep(0.05)
    return {"sum": 499500}
"""
ENDLESS = b"print('ready', flush=True)\nimport os\nos.fork()\nos.setsid()\nwhile True: pass"
WORKER = """
import asyncio, sys
from pathlib import Path
from domain.environments import Environment
from domain.runs import RunRequest
from tests.sandbox.escapes.conftest import BACKENDS
async def watch(event): print(type(event).__name__, getattr(event, "text", ""), flush=True)
environment = Environment.model_validate_json(sys.argv[2])
sandbox = BACKENDS[sys.argv[1]]({environment.name: environment}, Path(sys.argv[3]))
request = RunRequest.model_validate_json(sys.argv[4])
print("Going", flush=True)
asyncio.run(sandbox.run(request, answer=None, watch=watch, stop=asyncio.Event()))
"""


@dataclass
class Scene:
    """A sandbox and its runs, each of which is looked for afterwards by what its marker said and by its seed."""

    sandbox: LocalSandbox
    state: Path
    environment: Environment

    def request(self, script: bytes) -> RunRequest:
        return RunRequest(
            run_id=f"moment-{secrets.token_hex(6)}",
            purpose=RunPurpose.TRIAL,
            script=script,
            model_id="mock",
            environment=self.environment.name,
            seed=secrets.randbelow(1 << 32),
            timeout_seconds=20,
        )

    def start(self, request: RunRequest, seen: list[RunEvent], stop: asyncio.Event) -> asyncio.Task[RunReport]:
        async def watch(event: RunEvent) -> None:
            seen.append(event)

        return asyncio.create_task(self.sandbox.run(request, answer=no_model, watch=watch, stop=stop))

    def marker(self, request: RunRequest) -> RunMarker | None:
        return RunMarkers(self.state / self.sandbox.backend.value).read(request.run_id)

    def left_of(self, request: RunRequest, marker: RunMarker | None) -> list[str]:
        nobody = {"worker": 1, "launcher": 1, "runner": 1}
        unmarked = {**nobody, **{f"{name}_started": 0 for name in nobody}, "run_id": request.run_id}
        return list(residue_of(marker or RunMarker.model_validate(unmarked), request.seed))


async def no_model(request: ModelRequest) -> ModelAnswer:
    return ModelAnswer(call=request.call)


@pytest.fixture(params=BACKENDS)
async def scene(request: pytest.FixtureRequest, state: Path, default_environment: Environment) -> AsyncIterator[Scene]:
    sandbox = await offered(request.param, default_environment, state)
    yield Scene(sandbox, state, default_environment)
    assert await sandbox.runs() == ()


@pytest.mark.parametrize("moment", slice_of(MOMENTS, every=4))
async def test_a_stop_at_any_moment_ends_it(scene: Scene, moment: float):
    request, stop = scene.request(SCRIPT), asyncio.Event()
    run = scene.start(request, [], stop)
    await asyncio.wait([run], timeout=moment)
    marker = scene.marker(request)

    stop.set()
    report = await run

    assert report.outcome in ENDINGS
    assert scene.left_of(request, marker) == []


@pytest.mark.parametrize("moment", slice_of(MOMENTS, every=4))
async def test_a_cancellation_at_any_moment_ends_it(scene: Scene, moment: float):
    request = scene.request(SCRIPT)
    run = scene.start(request, [], asyncio.Event())
    await asyncio.wait([run], timeout=moment)
    marker = scene.marker(request)

    run.cancel()
    done, _ = await asyncio.wait([run], timeout=30)

    assert done == {run}
    assert scene.left_of(request, marker) == []


@pytest.mark.parametrize("moment", slice_of(MOMENTS[3:], every=4))
async def test_a_kill_at_any_moment_ends_it(scene: Scene, moment: float):
    request = scene.request(SCRIPT)
    run = scene.start(request, [], asyncio.Event())
    await asyncio.wait([run], timeout=moment)
    marker = scene.marker(request)

    await scene.sandbox.kill(request.run_id)
    report = await run

    assert report.outcome in ENDINGS
    assert scene.left_of(request, marker) == []


async def test_of_a_run_that_is_delivered_twice_at_once_one_is_performed(scene: Scene):
    request, seen = scene.request(ENDLESS), list[RunEvent]()
    stop = asyncio.Event()
    first = scene.start(request, seen, stop)
    while not any(isinstance(event, Printed) for event in seen):  # noqa: ASYNC110
        await asyncio.sleep(0.005)

    with pytest.raises(SandboxUnavailable):
        await scene.start(request, seen, asyncio.Event())
    stop.set()

    assert (await first).outcome is RunOutcome.STOPPED
    assert sum(isinstance(event, Began) for event in seen) == 1


@pytest.mark.parametrize("moment", ["Going", "Began", "Printed ready"])
async def test_a_worker_that_is_killed_leaves_nothing_that_its_successor_does_not_end(scene: Scene, moment: str):
    request = scene.request(ENDLESS)
    worker = await another_worker(scene, request)
    assert worker.stdout is not None
    while not (line := await asyncio.wait_for(worker.stdout.readline(), 30)).startswith(moment.encode()):
        assert line
    marker = scene.marker(request)

    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    for run_id in await scene.sandbox.runs():
        await scene.sandbox.kill(run_id)

    until = time.monotonic() + 10
    while (left := scene.left_of(request, marker)) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert left == []


async def another_worker(scene: Scene, request: RunRequest) -> asyncio.subprocess.Process:
    root = str(Path(__file__).parents[3])
    described = (scene.environment.model_dump_json(), str(scene.state), request.model_dump_json())
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, scene.sandbox.backend.value, *described),
        stdout=asyncio.subprocess.PIPE,
        cwd=root,
        env={"PYTHONPATH": root, "PATH": os.environ["PATH"]},
    )
