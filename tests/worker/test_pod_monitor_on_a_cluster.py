"""What the monitor of pods does on a real cluster, where the worker of the runs is dead: each sight is provoked."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage
from domain.runs import RunPurpose
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.lease import Lease
from sandbox.kubernetes.manifest import ANNOTATION_LEASE, pod_name
from sandbox.kubernetes.watched_namespace import WatchedNamespace
from storage.evaluations import Evaluations
from storage.journal import Journal
from storage.oversight import Oversight
from tests.sandbox.kubernetes.world import TOOLS, World, entered, namespace_of_its_own
from tests.storage.rows import ORDER
from tests.worker.pod_watch import DEADLINE, Watch, both
from tests.worker.test_pod_monitor import Signals
from worker import pod_reasons
from worker.acts import Acts
from worker.monitor import patrolled
from worker.pod_monitor import PodMonitor
from worker.reasons import Reason
from workflows.metrics import Instruments

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def world() -> World:
    return entered()


@pytest.fixture(scope="module")
def namespace(world: World) -> Iterator[str]:
    """Without the policy, which would refuse some of what is provoked here."""
    with namespace_of_its_own(world) as name:
        world.kubectl("label", "namespace", name, "airlock/scripts-")
        yield name


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


async def test_a_quota_that_is_taken_away_ends_what_it_bounded(watch: Watch) -> None:
    evaluation_id = await watch.begun()
    quota = watch.world.read("resourcequota", watch.namespace, "all-scripts")

    await watch.change("delete", "resourcequota", "all-scripts")
    try:
        await watch.gone(evaluation_id)
    finally:
        del quota["metadata"]["uid"], quota["metadata"]["resourceVersion"]
        await watch.change("create", "-f", "-", given=quota)

    assert await watch.told(evaluation_id) == both(Reason.UNBOUNDED)


async def test_a_pod_whose_lease_is_over_is_ended(watch: Watch) -> None:
    """Whoever made it has promised an end that it does not keep."""
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")

    def promised(pod: dict[str, Any]) -> None:
        pod["metadata"]["annotations"][ANNOTATION_LEASE] = long_ago

    evaluation_id, bystander = await watch.begun(runs=False, change=promised), await watch.begun()
    await watch.gone(evaluation_id)

    assert await watch.told(evaluation_id) == both(Reason.LEASE_EXPIRED)
    assert watch.state(bystander) == "Running"


async def test_a_pod_that_runs_without_having_proved_its_isolation_is_ended(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven, unproven = await watch.begun(), await watch.begun()
    began = NewEntry(
        at=datetime.now(UTC), kind=EntryKind.STAGE, run=f"{proven}-execution", frame=1, stage=Stage.POD_EXECUTION
    )
    await watch.journal.append(proven, [began])

    monkeypatch.setattr(pod_reasons, "PROVEN_WITHIN", timedelta(seconds=1))
    await watch.gone(unproven)

    assert await watch.told(unproven) == both(Reason.UNPROVEN)
    assert watch.state(proven) == "Running"


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
