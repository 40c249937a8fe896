"""What is cut at each named point of a run costs no line, doubles none, runs nothing twice, and leaves no pod."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.model_calls import ModelAnswer, ModelRequest
from domain.outcomes import RunOutcome
from domain.runs import RunRequest
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.manifest import pod_name
from sandbox.kubernetes.pod_run import PodRun
from sandbox.local.residue import processes_of_seed
from sandbox.port import Began, Printed, RunEvent
from tests.sandbox.kubernetes.proxy import proxied
from tests.sandbox.kubernetes.runs import Seen, a_run, echo
from tests.sandbox.kubernetes.world import ENVIRONMENTS, ROOT, World

pytestmark = pytest.mark.cluster

LINES = 150
SCRIPT = f"import time\nfor n in range({LINES}):\n    print(n, flush=True)\n    time.sleep(0.01)\n"
CALLS = 60
ASKS = f"""def evaluate_model(model):
    return [model.generate(f"call {{n}}") for n in range({CALLS})]
"""
CUT_AT = {
    "begin": (Began, ""),
    "first line": (Printed, "0"),
    "mid-stream": (Printed, "75"),
    "last line": (Printed, "149"),
}
DEATHS = {
    "before create": "replace(cluster.Cluster, 'create_pod', dies)",
    "after create": "replace(backend, 'started', dies)",
    "before begin": "replace(pod_stream.PodStream, '_connected', dies)",
    "first frame": "replace(pod_run.PodRun, '_receive', dies)",
    "begin": "at(port.Began, '')",
    "mid-stream": "at(port.Printed, '75')",
    "receipt": "replace(pod_run.PodRun, '_see_its_fate', dies)",
    "completion": "replace(backend.KubernetesSandbox, '_leave', dies)",
}
WORKER = """
import asyncio, os, signal
from pathlib import Path
from domain.runs import RunRequest
from sandbox import port
from sandbox.kubernetes import backend, cluster, pod_run, pod_stream
from sandbox.kubernetes.manifest import Placement
from tests.sandbox.kubernetes.world import ENVIRONMENTS
def dies(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
def replace(owner, name, with_what): setattr(owner, name, with_what)
point = None
def at(kind, text):
    global point
    point = kind, text
async def watch(event):
    if point and isinstance(event, point[0]) and getattr(event, "text", "") == point[1]: dies()
async def main():
    request = RunRequest.model_validate_json({request!r})
    placement = Placement.model_validate_json({placement!r})
    async with backend.KubernetesSandbox.opened(Path({kubeconfig!r}), placement, ENVIRONMENTS) as sandbox:
        {death}
        await sandbox.run(request, answer=None, watch=watch, stop=asyncio.Event())
asyncio.run(main())
"""


@pytest.mark.parametrize("point", CUT_AT)
async def test_a_cut_connection_costs_no_line_and_doubles_none(point: str, world: World, tmp_path: Path) -> None:
    kind, text = CUT_AT[point]
    seen, request = Seen(), a_run(SCRIPT, timeout_seconds=60)
    async with (
        proxied(world, tmp_path) as (proxy, kubeconfig),
        KubernetesSandbox.opened(kubeconfig, world.placement(), ENVIRONMENTS) as sandbox,
    ):

        async def watch(event: RunEvent) -> None:
            await seen.watch(event)
            if isinstance(event, kind) and getattr(event, "text", "") == text:
                proxy.cut()

        run = sandbox.run(request, answer=echo, watch=watch, stop=asyncio.Event())
        report = await asyncio.wait_for(run, 90)

    assert proxy.cuts > 1  # the last is the end of the test
    assert seen.lines == [str(n) for n in range(LINES)]
    assert (report.outcome, report.receipt) == (RunOutcome.COMPLETED, True)


async def test_a_connection_that_is_cut_again_and_again_costs_nothing_either(world: World, tmp_path: Path) -> None:
    seen, request = Seen(), a_run(SCRIPT, timeout_seconds=60)
    async with (
        proxied(world, tmp_path) as (proxy, kubeconfig),
        KubernetesSandbox.opened(kubeconfig, world.placement(), ENVIRONMENTS) as sandbox,
    ):
        running = asyncio.create_task(seen.run(sandbox, request))
        while not running.done():
            await asyncio.wait({running}, timeout=0.7)
            proxy.cut()
        report = await running

    assert seen.lines == [str(n) for n in range(LINES)]
    assert report.outcome is RunOutcome.COMPLETED


async def test_a_model_call_is_made_once_and_answered_however_often_the_way_is_cut(
    world: World, tmp_path: Path
) -> None:
    calls: list[str] = []

    async def counted(request: ModelRequest) -> ModelAnswer:
        calls.append(request.messages[-1].content)
        await asyncio.sleep(0.05)
        return await echo(request)

    async with (
        proxied(world, tmp_path) as (proxy, kubeconfig),
        KubernetesSandbox.opened(kubeconfig, world.placement(), ENVIRONMENTS) as sandbox,
    ):
        run = sandbox.run(a_run(ASKS, timeout_seconds=60), answer=counted, watch=Seen().watch, stop=asyncio.Event())
        running = asyncio.create_task(run)
        while not running.done():
            await asyncio.wait({running}, timeout=0.5)
            proxy.cut()
        report = await running

    assert calls == [f"call {n}" for n in range(CALLS)]
    assert (report.outcome, report.result) == (RunOutcome.COMPLETED, [f"CALL {n}" for n in range(CALLS)])


async def test_a_cut_after_the_receipt_changes_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        proxied(world, tmp_path) as (proxy, kubeconfig),
        KubernetesSandbox.opened(kubeconfig, world.placement(), ENVIRONMENTS) as sandbox,
    ):
        seeing = PodRun._see_its_fate  # pyright: ignore[reportPrivateUsage]

        async def cut(run: PodRun, following: asyncio.Task[None]) -> None:
            proxy.cut()
            await seeing(run, following)

        monkeypatch.setattr(PodRun, "_see_its_fate", cut)
        report = await Seen().run(sandbox, a_run("raise SystemExit(3)"))

    assert (report.outcome, report.receipt) == (RunOutcome.NONZERO_EXIT, True)


@pytest.mark.parametrize("point", DEATHS)
async def test_a_worker_killed_at_any_point_leaves_what_can_be_found_and_ended(point: str, world: World) -> None:
    seed = int.from_bytes(os.urandom(4), "little")
    request = a_run(SCRIPT + "time.sleep(60)\n" * (point not in {"completion", "receipt"}), seed=seed)
    placement = world.placement()

    async with (
        killed_at(point, request, world),
        KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as another,
    ):
        found = request.run_id in await another.runs()
        await another.kill(request.run_id)
        left = world.kubectl("get", "pod", "-n", placement.namespace, pod_name(request.run_id), "--ignore-not-found")

    assert found is (point != "before create")
    assert left.stdout == ""
    assert processes_of_seed(seed) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after create", "mid-stream", "completion"])
async def test_a_trial_whose_worker_was_killed_is_held_again_from_its_beginning(point: str, world: World) -> None:
    """What is left of the first one is pending, running or over: in each case it is ended before the second begins."""
    seed, seen = int.from_bytes(os.urandom(4), "little"), Seen()
    request = a_run(SCRIPT, seed=seed)

    async with (
        killed_at(point, request, world),
        KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as another,
    ):
        report = await asyncio.wait_for(seen.run(another, request), 90)

    assert seen.lines == [str(n) for n in range(LINES)]
    assert (report.outcome, report.receipt) == (RunOutcome.COMPLETED, True)
    assert processes_of_seed(seed) == []


@asynccontextmanager
async def killed_at(point: str, request: RunRequest, world: World) -> AsyncGenerator[None]:
    """Run it in a worker of its own, which is killed there. Its pod goes, whatever comes of the test."""
    program = WORKER
    for name, value in {
        "{request!r}": repr(request.model_dump_json()),
        "{placement!r}": repr(world.placement().model_dump_json()),
        "{kubeconfig!r}": repr(str(world.kubeconfig)),
        "{death}": DEATHS[point],
    }.items():
        program = program.replace(name, value)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    )
    try:
        assert await asyncio.wait_for(worker.wait(), 90) == -9
        yield
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
        await asyncio.to_thread(world.remove_pod, world.placement().namespace, pod_name(request.run_id))
