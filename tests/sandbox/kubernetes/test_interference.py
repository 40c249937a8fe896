"""Others have their hands in: a pod is deleted by hand, spoken to beside its worker, or stands where another should."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.outcomes import RunOutcome
from domain.runs import RunReport
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.manifest import manifest, pod_name
from sandbox.kubernetes.pod_run import PodRun
from sandbox.local.residue import processes_of_seed
from sandbox.stream import TO_RUN, Sender
from tests.sandbox.kubernetes.runs import Seen, a_run
from tests.sandbox.kubernetes.world import ENVIRONMENTS, World

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SLEEPS = "import time\nprint('here', flush=True)\ntime.sleep(300)"
LINES = 300
COUNTS = f"import time\nfor n in range({LINES}):\n    print(n, flush=True)\n    time.sleep(0.01)\n"
WITHIN = 90.0


@pytest.fixture
async def sandbox(world: World) -> AsyncIterator[KubernetesSandbox]:
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as each:
        yield each


def pod_of(world: World, run_id: str) -> str:
    """Its name, where it is there."""
    words = ("-n", world.placement().namespace, pod_name(run_id), "--ignore-not-found", "-o", "name")
    return world.kubectl("get", "pod", *words).stdout


def delete(world: World, run_id: str) -> None:
    """As a person does."""
    done = world.kubectl("delete", "pod", "-n", world.placement().namespace, pod_name(run_id), "--wait=false")
    assert done.returncode == 0, done.stderr


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - asked of the cluster
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("state", ["pending", "starting", "beginning", "running"])
async def test_a_pod_that_is_deleted_by_hand_ends_its_run_and_no_result_is_made_up(state: str, world: World) -> None:
    pool = {"airlock/no-such": "pool"} if state == "pending" else {}
    seen, seed = Seen(), int.from_bytes(os.urandom(4), "little")
    request = a_run(SLEEPS, seed=seed, timeout_seconds=300)
    ready: dict[str, Callable[[], Awaitable[object]]] = {
        "pending": lambda: until(lambda: pod_of(world, request.run_id)),
        "starting": lambda: until(lambda: pod_of(world, request.run_id)),
        "beginning": seen.began.wait,
        "running": seen.printed.wait,
    }
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(node_selector=pool), ENVIRONMENTS) as sandbox:
        running = asyncio.create_task(seen.run(sandbox, request))
        await asyncio.wait_for(ready[state](), WITHIN)
        await asyncio.to_thread(delete, world, request.run_id)
        report = await asyncio.wait_for(running, WITHIN)

    assert (report.outcome, report.receipt, report.has_result) == (RunOutcome.STOPPED, False, False)
    assert processes_of_seed(seed) == []
    await until(lambda: not pod_of(world, request.run_id))


async def test_a_pod_that_is_deleted_by_hand_after_its_receipt_has_ended_as_it_says(
    world: World, sandbox: KubernetesSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, seeing = a_run("raise SystemExit(3)"), PodRun._see_its_fate  # pyright: ignore[reportPrivateUsage]

    async def deleted_first(run: PodRun, following: asyncio.Task[None]) -> None:
        await asyncio.to_thread(delete, world, request.run_id)
        await seeing(run, following)

    monkeypatch.setattr(PodRun, "_see_its_fate", deleted_first)
    report = await asyncio.wait_for(Seen().run(sandbox, request), WITHIN)

    assert (report.outcome, report.receipt) == (RunOutcome.NONZERO_EXIT, True)


async def test_two_workers_with_one_run_have_one_pod_between_them(world: World, sandbox: KubernetesSandbox) -> None:
    """The later one ends what the earlier began; records see to it that an execution has no later one."""
    first, second, seed = Seen(), Seen(), int.from_bytes(os.urandom(4), "little")
    request = a_run(COUNTS, seed=seed)
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as another:
        running = asyncio.create_task(first.run(sandbox, request))
        await asyncio.wait_for(first.printed.wait(), WITHIN)
        later = await asyncio.wait_for(second.run(another, request), WITHIN)
        earlier = await asyncio.wait_for(running, WITHIN)

    assert (earlier.outcome, earlier.receipt) == (RunOutcome.STOPPED, False)
    assert (later.outcome, second.lines) == (RunOutcome.COMPLETED, [str(n) for n in range(LINES)])
    assert processes_of_seed(seed) == []


async def test_who_writes_to_the_pod_beside_its_worker_is_not_heard(world: World, sandbox: KubernetesSandbox) -> None:
    """An administrator may attach too. He has no key, and each end hears of nobody but the other."""
    seen, request = Seen(), a_run(COUNTS, timeout_seconds=60)
    forged = Sender(TO_RUN, b"guessed", attempt=7)
    words = [forged.frames("stop", "null"), forged.control("ack", 10**6), b"noise\n" * 1000, b"\xff" * 200_000 + b"\n"]
    async with Cluster.connect(world.kubeconfig) as cluster:
        running = asyncio.create_task(seen.run(sandbox, request))
        await asyncio.wait_for(seen.printed.wait(), WITHIN)
        async with cluster.attach(world.placement().namespace, pod_name(request.run_id)) as beside:
            for each in words:
                await beside.send(each)
            report = await asyncio.wait_for(running, WITHIN)

    assert seen.lines == [str(n) for n in range(LINES)]
    assert (report.outcome, report.receipt) == (RunOutcome.COMPLETED, True)


FORGES = Path(__file__).with_name("forged_frames.hostile")


async def test_frames_that_a_script_prints_are_its_output_and_its_runners_stream_is_out_of_reach(
    sandbox: KubernetesSandbox,
) -> None:
    seen = Seen()

    report = await asyncio.wait_for(seen.run(sandbox, a_run(FORGES.read_text())), WITHIN)

    assert (report.outcome, report.exit_code, report.has_result) == (RunOutcome.NONZERO_EXIT, 7, False)
    assert len([line for line in seen.lines if line.startswith("0.")]) == 3 * 39
    assert "forged" not in seen.lines
    assert len([line for line in seen.lines if line.endswith("Error")]) == 6


async def test_a_pod_that_stands_under_a_runs_name_is_never_taken_for_it(
    world: World, sandbox: KubernetesSandbox
) -> None:
    """It says that it is the very order, and had been made by somebody who knew the name."""
    request = a_run("print('ours')")
    squatter = manifest(request, world.placement(), "squatter", datetime.now(UTC))
    made = world.kubectl("create", "-f", "-", given=squatter)
    assert made.returncode == 0, made.stderr
    seen = Seen()

    report: RunReport = await asyncio.wait_for(seen.run(sandbox, request), WITHIN)

    assert (report.outcome, seen.lines) == (RunOutcome.COMPLETED, ["ours"])


async def test_what_is_deleted_by_uid_is_never_a_later_pod_of_the_name(
    world: World, sandbox: KubernetesSandbox
) -> None:
    """Somebody deletes the pod, and puts another one in its place, while the worker is about to take its own away."""
    seen, request = Seen(), a_run(SLEEPS, timeout_seconds=300)
    running = asyncio.create_task(seen.run(sandbox, request))
    await asyncio.wait_for(seen.printed.wait(), WITHIN)
    delete(world, request.run_id)
    await until(lambda: not pod_of(world, request.run_id))
    other = manifest(request, world.placement(), "somebody", datetime.now(UTC))
    made = await asyncio.to_thread(world.kubectl, "create", "-f", "-", given=other)

    try:
        report = await asyncio.wait_for(running, WITHIN)
        left = pod_of(world, request.run_id)
    finally:
        world.remove_pod(world.placement().namespace, pod_name(request.run_id))

    assert made.returncode == 0, made.stderr
    assert report.outcome is RunOutcome.STOPPED
    assert left != ""
