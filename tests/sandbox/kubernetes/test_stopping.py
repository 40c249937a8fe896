"""A stop ends a run wherever it is: pending, starting, running or finishing, and without its worker too."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.outcomes import RunOutcome
from domain.runs import RunReport, RunRequest
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.manifest import SELECTOR, manifest, pod_name
from sandbox.kubernetes.pod_run import PodRun
from sandbox.kubernetes.pod_view import view_of
from sandbox.kubernetes.reflector import Reflector
from sandbox.local.residue import processes_of_seed
from tests.e2e.parts import text_of
from tests.sandbox.kubernetes.runs import SPIN, Seen, a_run
from tests.sandbox.kubernetes.world import ENVIRONMENTS, World
from tests.sandbox.test_code_pack import handles

pytestmark = pytest.mark.cluster

SLEEPS = "import time\nprint('here', flush=True)\ntime.sleep(300)"


@pytest.fixture
async def sandbox(world: World) -> AsyncIterator[KubernetesSandbox]:
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as each:
        yield each


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - asked of the cluster
            await asyncio.sleep(0.05)


def pod_of(world: World, namespace: str, run_id: str) -> str:
    words = ("-o", "jsonpath={.status.phase}")
    return world.kubectl("get", "pod", "-n", namespace, pod_name(run_id), "--ignore-not-found", *words).stdout


def a_seeded_run(script: str, **parts: Any) -> RunRequest:
    return a_run(script, seed=int.from_bytes(os.urandom(4), "little"), timeout_seconds=300, **parts)


async def stopped_when(ready: Awaitable[object], seen: Seen, running: asyncio.Task[RunReport]) -> RunReport:
    await asyncio.wait_for(ready, 60)
    seen.stop.set()
    return await asyncio.wait_for(running, 40)


@pytest.mark.parametrize("state", ["pending", "starting", "beginning", "idle", "spinning"])
async def test_a_stop_ends_a_run_wherever_it_is(state: str, world: World) -> None:
    pool = {"airlock/no-such": "pool"} if state == "pending" else {}
    placement = world.placement(node_selector=pool)
    seen, request = Seen(), a_seeded_run(SPIN if state == "spinning" else SLEEPS)
    name = placement.namespace
    ready: dict[str, Callable[[], Awaitable[object]]] = {
        "pending": lambda: until(lambda: pod_of(world, name, request.run_id) == "Pending"),
        "starting": lambda: until(lambda: pod_of(world, name, request.run_id)),
        "beginning": seen.began.wait,
        "idle": seen.printed.wait,
        "spinning": seen.printed.wait,
    }
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        running = asyncio.create_task(seen.run(sandbox, request))
        report = await stopped_when(ready[state](), seen, running)

    assert report.outcome is RunOutcome.STOPPED
    assert processes_of_seed(request.seed) == []
    assert pod_of(world, name, request.run_id) == ""


async def test_a_pod_that_ends_before_its_order_has_come_does_not_wait_for_its_grace(world: World) -> None:
    request, placement = a_run(""), world.placement()
    pod, name = manifest(request, placement, "a test", datetime.now(UTC)), pod_name(request.run_id)
    async with (
        Cluster.connect(world.kubeconfig) as cluster,
        Reflector(cluster, placement.namespace, SELECTOR).running() as reflector,
        reflector.changes(name) as changes,
    ):
        uid = view_of(await cluster.create_pod(placement.namespace, pod)).uid
        await until(lambda: any(handles(process, signal.SIGTERM) for process in runners_of_pod(uid)))
        await cluster.delete_pod(placement.namespace, name, uid, grace_seconds=30)
        async with asyncio.timeout(60):
            while (terminated := (await changes.get()).terminated) is None:
                pass

    assert terminated.exit_code == 1  # by itself; 137 would be the kernel's, after the grace


def runners_of_pod(uid: str) -> list[int]:
    """By the control groups of the node, which is this machine. What starts a container handles every signal."""
    named = (uid, uid.replace("-", "_"))
    groups = {each.parent: text_of(each) for each in Path("/proc").glob("[0-9]*/cgroup")}
    processes = [process for process, group in groups.items() if any(name in group for name in named)]
    return [int(process.name) for process in processes if "marshal" in text_of(process / "cmdline")]


async def test_a_stop_of_a_run_that_is_just_over_changes_nothing(
    sandbox: KubernetesSandbox, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, request = Seen(), a_seeded_run("raise SystemExit(3)")
    seeing = PodRun._see_its_fate  # pyright: ignore[reportPrivateUsage]

    async def stop(run: PodRun, following: asyncio.Task[None]) -> None:
        seen.stop.set()
        await seeing(run, following)

    monkeypatch.setattr(PodRun, "_see_its_fate", stop)
    report = await seen.run(sandbox, request)

    assert (report.outcome, report.receipt) == (RunOutcome.NONZERO_EXIT, True)
    await until(lambda: pod_of(world, world.placement().namespace, request.run_id) == "")
