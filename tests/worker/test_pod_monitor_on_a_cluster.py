"""What the monitor of pods does on a real cluster, where the worker of the runs is dead: each sight is provoked."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.journal import EntryKind
from domain.lifecycle import Status
from domain.runs import RunPurpose, RunRequest
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.lease import Lease
from sandbox.kubernetes.manifest import (
    ANNOTATION_LASTING,
    DEADLINE_SLACK_SECONDS,
    lasting_sha256,
    manifest,
    pod_name,
)
from sandbox.kubernetes.watched_namespace import WatchedNamespace
from storage.evaluations import Evaluations
from storage.journal import Journal
from storage.oversight import Oversight
from tests.builders import an_evaluation
from tests.sandbox.kubernetes.world import TOOLS, World, entered, namespace_of_its_own
from tests.storage.rows import ORDER, bring
from tests.worker.test_pod_monitor import Signals
from worker import pod_reasons
from worker.acts import Acts
from worker.monitor import patrolled
from worker.pod_monitor import PodMonitor
from worker.reasons import Reason
from workflows.metrics import Instruments

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

Change = Callable[[dict[str, Any]], object]
WITHIN = 180.0
"""Seconds after which a test gives up. None depends on how long anything takes."""
DEADLINE = 250
"""Seconds that a pod may live."""


@pytest.fixture(scope="module")
def world() -> World:
    return entered()


@pytest.fixture(scope="module")
def namespace(world: World) -> Iterator[str]:
    """Without the policy, which would refuse some of what is provoked here."""
    with namespace_of_its_own(world) as name:
        world.kubectl("label", "namespace", name, "airlock/scripts-")
        yield name


@dataclass
class Watch:
    """A monitor at work on a namespace, and what it is told of and tells."""

    world: World
    namespace: str
    evaluations: Evaluations
    journal: Journal
    signals: Signals
    monitor: PodMonitor

    async def begun(self, *, owned: bool = True, runs: bool = True, change: Change | None = None) -> str:
        """A run whose pod is there, and whose worker is not. Returns the evaluation's id.

        `runs`: its container is waited for. A pod that the monitor ends at once may be gone before anybody sees it run.
        """
        name = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=12))
        evaluation_id = an_evaluation(name).evaluation_id
        if owned:
            await bring(self.evaluations, Status.VALIDATED, name)
            run_id, now = f"{evaluation_id}-execution", datetime.now(UTC)
            assert await self.evaluations.begin_execution(evaluation_id, run_id, "elsewhere", now)
        await asyncio.to_thread(self.create, evaluation_id, change)
        if runs:
            await asyncio.to_thread(self.until, lambda: self.state(evaluation_id).startswith("Running"))
        return evaluation_id

    def create(self, evaluation_id: str, change: Change | None = None) -> None:
        pod = manifest(
            RunRequest(
                run_id=f"{evaluation_id}-execution",
                purpose=RunPurpose.EXECUTION,
                script=b"",
                model_id="m",
                environment="default",
                timeout_seconds=DEADLINE - DEADLINE_SLACK_SECONDS,
            ),
            self.world.placement(self.namespace),
            "attempt",
            datetime.now(UTC),
        )
        if change is not None:
            change(pod)
            pod["metadata"]["annotations"][ANNOTATION_LASTING] = lasting_sha256(pod["spec"])
        made = self.world.kubectl("create", "-n", self.namespace, "-f", "-", given=pod)
        assert made.returncode == 0, made.stderr

    def state(self, evaluation_id: str) -> str:
        """Its phase and when it was deleted; empty where it is not there."""
        path = "jsonpath={.status.phase} {.metadata.deletionTimestamp}"
        name = pod_name(f"{evaluation_id}-execution")
        there = self.world.kubectl("get", "pod", "-n", self.namespace, name, "--ignore-not-found", "-o", path)
        return there.stdout.strip()

    async def gone(self, evaluation_id: str) -> None:
        """Until its pod is, and the monitor has told of it."""
        await asyncio.to_thread(self.until, lambda: not self.state(evaluation_id))
        await asyncio.wait_for(self.monitor.settled(), WITHIN)

    @staticmethod
    def until(is_so: Callable[[], bool]) -> None:
        last = time.monotonic() + WITHIN
        while not is_so():
            assert time.monotonic() < last
            time.sleep(0.2)

    async def change(self, *words: str, given: Any = None) -> None:
        done = await asyncio.to_thread(self.world.kubectl, *words, "-n", self.namespace, given=given)
        assert done.returncode == 0, done.stderr

    async def told(self, evaluation_id: str) -> list[str]:
        entries = await self.journal.read(evaluation_id, kinds=frozenset({EntryKind.LOG}))
        return [str(entry.payload["text"]) for entry in entries]


@pytest.fixture
async def watch(
    world: World,
    namespace: str,
    evaluations: Evaluations,
    oversight: Oversight,
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Watch]:
    monkeypatch.setattr(pod_reasons, "PROVEN_WITHIN", timedelta(hours=1))  # nothing here proves itself, however long
    signals, instruments = Signals(), Instruments()
    async with (
        Cluster.connect(world.kubeconfig) as cluster,
        WatchedNamespace.opened(cluster, namespace) as watched,
        Lease(cluster, namespace, "airlock-monitor", "a test").contended() as lease,
    ):
        monitor = PodMonitor(watched, RunPurpose.EXECUTION, lambda: lease.held, oversight, signals, Acts(journal))
        tasks = [
            asyncio.create_task(patrolled(monitor.patrol, 0.3, instruments, "pods")),
            asyncio.create_task(patrolled(monitor.look_at_walls, 0.5, instruments, "walls")),
        ]
        try:
            yield Watch(world, namespace, evaluations, journal, signals, monitor)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await monitor.close()


def both(reason: Reason) -> list[str]:
    return [f"{reason}: a stop was ordered by the monitor", f"{reason}: it was ended by the monitor"]


async def test_a_pod_that_somebody_patches_is_stopped_and_then_killed(watch: Watch) -> None:
    evaluation_id, bystander = await watch.begun(), await watch.begun()

    name, patch = pod_name(f"{evaluation_id}-execution"), '{"spec":{"activeDeadlineSeconds":99}}'
    await watch.change("patch", "pod", name, "-p", patch)
    await watch.gone(evaluation_id)

    assert [(each, order.reason) for each, order in watch.signals.orders] == [(evaluation_id, Reason.CHANGED)]
    assert await watch.told(evaluation_id) == both(Reason.CHANGED)
    assert watch.state(bystander) == "Running"


async def test_a_container_that_starts_again_is_stopped_and_then_killed(watch: Watch) -> None:
    def again(pod: dict[str, Any]) -> None:
        pod["spec"]["restartPolicy"] = "Always"
        pod["spec"]["containers"][0]["command"] = ["/usr/bin/python3", "-c", "import time; time.sleep(2)"]

    evaluation_id = await watch.begun(runs=False, change=again)
    await watch.gone(evaluation_id)

    assert await watch.told(evaluation_id) == both(Reason.RESTARTED)


async def test_a_network_that_opens_ends_what_runs_in_it(watch: Watch) -> None:
    evaluation_id = await watch.begun()
    policy = watch.world.read("networkpolicy", watch.namespace, "nothing-in-nothing-out")

    await watch.change("delete", "networkpolicy", "nothing-in-nothing-out")
    try:
        await watch.gone(evaluation_id)
    finally:
        del policy["metadata"]["uid"], policy["metadata"]["resourceVersion"]
        await watch.change("create", "-f", "-", given=policy)

    assert await watch.told(evaluation_id) == both(Reason.NETWORK_OPEN)


async def test_orphans_are_reaped_and_others_pods_are_left_alone(watch: Watch) -> None:
    def anothers(pod: dict[str, Any]) -> None:
        pod["metadata"] |= {"labels": {}, "annotations": {}}

    foreign = await watch.begun(owned=False, change=anothers)
    orphan = await watch.begun(owned=False, runs=False)
    try:
        await watch.gone(orphan)

        assert watch.state(foreign) == "Running"
        assert watch.signals.orders == []
    finally:
        await asyncio.to_thread(watch.world.remove_pod, watch.namespace, pod_name(f"{foreign}-execution"))


async def test_a_journaled_stop_is_carried_out_by_the_monitor_alone(watch: Watch) -> None:
    evaluation_id = await watch.begun()

    await watch.evaluations.order_stop(evaluation_id, ORDER, datetime.now(UTC))
    await watch.gone(evaluation_id)

    assert watch.signals.orders == []
    assert await watch.told(evaluation_id) == [f"{Reason.STOP_ORDERED}: it was ended by the monitor"]


async def test_a_deadline_is_kept_where_the_kubelet_is_dead(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (TOOLS / "ctl").exists():
        pytest.skip("the kubelet can be stopped on our own cluster only")
    evaluation_id = await watch.begun()

    await asyncio.to_thread(kubelet, "stop")
    try:
        monkeypatch.setattr(pod_reasons, "DEADLINE_SLACK", -timedelta(seconds=DEADLINE))  # so that it passes now
        await asyncio.to_thread(watch.until, lambda: len(watch.state(evaluation_id).split()) == 2)
    finally:
        await asyncio.to_thread(kubelet, "start")
    await watch.gone(evaluation_id)

    assert [order.reason for _, order in watch.signals.orders] == [Reason.DEADLINE_PASSED]
    assert (await watch.told(evaluation_id))[0] == both(Reason.DEADLINE_PASSED)[0]


def kubelet(action: str) -> None:
    subprocess.run([str(TOOLS / "ctl"), action, "kubelet"], capture_output=True, check=True, timeout=60)
