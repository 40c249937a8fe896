"""Runs in real pods: how they end, what is left of them, and what happens when something between is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ImageUnavailable, PodRefused
from domain.outcomes import RunOutcome
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.manifest import pod_name
from tests.sandbox.kubernetes.runs import SPIN, Seen, a_run
from tests.sandbox.kubernetes.world import ENVIRONMENTS, EXECUTIONS, TRIALS, World

pytestmark = pytest.mark.cluster


@pytest.fixture
async def sandbox(world: World) -> AsyncIterator[KubernetesSandbox]:
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as each:
        yield each


def pods_of(world: World, run_id: str) -> str:
    return world.kubectl("get", "pod", "-n", EXECUTIONS, pod_name(run_id), "--ignore-not-found", "-o", "name").stdout


async def test_a_script_gets_its_answers_and_gives_its_result(sandbox: KubernetesSandbox) -> None:
    seen = Seen()

    report = await seen.run(
        sandbox, a_run("def evaluate_model(model):\n    print('a')\n    return model.generate('b')")
    )

    assert (report.outcome, report.result, seen.lines) == (RunOutcome.COMPLETED, "B", ["a"])
    assert (report.receipt, report.isolation.level) == (True, 2)
    assert all(report.isolation.checks.values())


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("raise SystemExit(3)", RunOutcome.NONZERO_EXIT),
        ("1/0", RunOutcome.EXCEPTION),
        ("x = bytearray(900 << 20)", RunOutcome.MEMORY_LIMIT),
        ("open('/tmp/a', 'wb').write(bytes(80 << 20))", RunOutcome.DISK_LIMIT),
        ("import os\nos.kill(os.getpid(), 9)", RunOutcome.SIGNALLED),
        ("while True: print('x' * 1000)", RunOutcome.OUTPUT_LIMIT),
        ("import time\ntime.sleep(60)", RunOutcome.TIMED_OUT),
    ],
)
async def test_a_script_ends_as_it_would_locally(script: str, outcome: RunOutcome, sandbox: KubernetesSandbox) -> None:
    report = await Seen().run(sandbox, a_run(script, timeout_seconds=4 if outcome is RunOutcome.TIMED_OUT else 30))

    assert report.outcome is outcome


async def test_no_pod_is_left(sandbox: KubernetesSandbox, world: World) -> None:
    request = a_run("print(1)")

    await Seen().run(sandbox, request)
    for _ in range(100):
        if not pods_of(world, request.run_id):
            break
        await asyncio.sleep(0.1)

    assert pods_of(world, request.run_id) == ""


async def test_a_stop_ends_a_spinning_script_and_its_pod(sandbox: KubernetesSandbox, world: World) -> None:
    seen, request = Seen(), a_run(SPIN)
    running = asyncio.create_task(seen.run(sandbox, request))
    await asyncio.wait_for(seen.printed.wait(), 60)

    seen.stop.set()
    report = await asyncio.wait_for(running, 30)

    assert report.outcome is RunOutcome.STOPPED
    assert pods_of(world, request.run_id) == ""


async def test_a_pod_that_is_only_starting_is_stopped_too(sandbox: KubernetesSandbox, world: World) -> None:
    seen, request = Seen(), a_run("print(1)")
    seen.stop.set()

    report = await seen.run(sandbox, request)

    assert (report.outcome, report.reached_script) == (RunOutcome.STOPPED, False)
    assert pods_of(world, request.run_id) == ""


async def test_a_kill_from_another_process_ends_the_run(sandbox: KubernetesSandbox, world: World) -> None:
    seen, request = Seen(), a_run(SPIN)
    running = asyncio.create_task(seen.run(sandbox, request))
    await asyncio.wait_for(seen.printed.wait(), 60)

    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as other:
        assert request.run_id in await other.runs()
        killed = await other.kill(request.run_id)
        again = await other.kill(request.run_id)
    report = await asyncio.wait_for(running, 30)

    assert (killed, again) == (True, False)
    assert report.outcome is RunOutcome.STOPPED


async def test_a_cancelled_run_leaves_nothing_alive(sandbox: KubernetesSandbox, world: World) -> None:
    seen, request = Seen(), a_run(SPIN)
    running = asyncio.create_task(seen.run(sandbox, request))
    await asyncio.wait_for(seen.printed.wait(), 60)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert pods_of(world, request.run_id) == ""


async def test_a_run_that_is_cancelled_while_its_pod_is_created_leaves_none(
    sandbox: KubernetesSandbox, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    creating, create = asyncio.Event(), Cluster.create_pod

    async def slow(cluster: Cluster, namespace: str, pod: Mapping[str, Any]) -> dict[str, Any]:
        creating.set()
        made = await create(cluster, namespace, pod)
        await asyncio.sleep(0.5)  # the answer is on its way
        return made

    monkeypatch.setattr(Cluster, "create_pod", slow)
    request = a_run("print(1)")
    running = asyncio.create_task(Seen().run(sandbox, request))
    await asyncio.wait_for(creating.wait(), 60)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert pods_of(world, request.run_id) == ""


async def test_another_pod_of_the_same_name_is_a_conflict(sandbox: KubernetesSandbox) -> None:
    seen, request = Seen(), a_run(SPIN)
    running = asyncio.create_task(seen.run(sandbox, request))
    await asyncio.wait_for(seen.printed.wait(), 60)

    try:
        with pytest.raises(PodRefused, match="another pod"):
            await Seen().run(sandbox, request.model_copy(update={"timeout_seconds": 31}))
    finally:
        seen.stop.set()
        await running


async def test_an_image_that_is_not_there_is_ours_and_is_said_at_once(world: World) -> None:
    reference = f"localhost/airlock/default@sha256:{'0' * 64}"
    placement = world.placement()
    absent = placement.images["default"].model_copy(update={"reference": reference})
    async with KubernetesSandbox.opened(
        world.kubeconfig, placement.model_copy(update={"images": {"default": absent}}), ENVIRONMENTS
    ) as sandbox:
        with pytest.raises(ImageUnavailable):
            await asyncio.wait_for(Seen().run(sandbox, a_run("print(1)")), 30)


@pytest.mark.parametrize(("account", "namespace"), [("airlock-execution", EXECUTIONS), ("airlock-validation", TRIALS)])
async def test_the_rights_of_a_role_are_enough(account: str, namespace: str, world: World, tmp_path: Path) -> None:
    kubeconfig = world.as_role(account, tmp_path)
    async with KubernetesSandbox.opened(kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        isolation = await sandbox.probe()

    assert isolation.level == 2
