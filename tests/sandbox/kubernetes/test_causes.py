"""Causes that the cluster itself gives, each provoked on the real one and told as what it is."""

from __future__ import annotations

import asyncio
import marshal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import sandbox.kubernetes.backend as backend_module
from domain.errors import NodeLost, RunnerLost, SandboxUnavailable, Unschedulable
from domain.limits import RunLimits
from domain.outcomes import RunOutcome
from sandbox.box.order import Order
from sandbox.kubernetes import pod_start
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.diagnosis import Cause
from sandbox.kubernetes.manifest import SELECTOR, manifest, pod_name
from sandbox.kubernetes.pod_report import order_for
from sandbox.kubernetes.pod_stream import PodStream
from sandbox.kubernetes.reflector import Reflector
from sandbox.port import Printed, RunEvent
from tests.sandbox.kubernetes.proxy import proxied
from tests.sandbox.kubernetes.runs import Seen, a_run, echo
from tests.sandbox.kubernetes.world import ENVIRONMENTS, TOOLS, World, namespace_of_its_own

pytestmark = pytest.mark.cluster

Spec = dict[str, Any]


@pytest.fixture
def namespace(world: World) -> Iterator[str]:
    """Without the policy, which would refuse what is provoked here."""
    with namespace_of_its_own(world) as name:
        world.kubectl("label", "namespace", name, "airlock/scripts-")
        yield name


def changed(monkeypatch: pytest.MonkeyPatch, change: Callable[[Spec], object]) -> None:
    def made(*words: Any) -> dict[str, Any]:
        pod = manifest(*words)
        change(pod["spec"])
        return pod

    monkeypatch.setattr(backend_module, "manifest", made)


async def test_a_pod_that_the_cluster_evicts_is_lost_and_was_not_stopped(world: World) -> None:
    seen, request, namespace = (
        Seen(),
        a_run("import time\nprint(1, flush=True)\ntime.sleep(60)"),
        world.placement().namespace,
    )
    name = pod_name(request.run_id)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as sandbox:
        running = asyncio.create_task(seen.run(sandbox, request))
        await asyncio.wait_for(seen.printed.wait(), 60)
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
        evicted = await asyncio.to_thread(world.kubectl, "create", "--raw", path, "-f", "-", given=eviction)
        with pytest.raises(RunnerLost, match="displaced") as lost:
            await asyncio.wait_for(running, 60)

    assert evicted.returncode == 0, evicted.stderr
    assert "EvictionByEvictionAPI" in lost.value.evidence


async def test_a_node_that_nobody_has_is_unschedulable(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_start, "SCHEDULED_WITHIN", 2.0)
    placement = world.placement(node_selector={"airlock/no-such": "pool"})
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        with pytest.raises(Unschedulable):
            await Seen().run(sandbox, a_run("print(1)"))


async def test_a_missing_volume_is_named(world: World, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_start, "SCHEDULED_WITHIN", 4.0)
    monkeypatch.setattr(pod_start, "STARTED_WITHIN", 4.0)

    def mounts_what_is_absent(spec: Spec) -> None:
        spec["volumes"].append({"name": "absent", "configMap": {"name": "absent"}})
        spec["containers"][0]["volumeMounts"].append({"name": "absent", "mountPath": "/mnt"})

    changed(monkeypatch, mounts_what_is_absent)
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        with pytest.raises(SandboxUnavailable, match="missing") as refused:
            await Seen().run(sandbox, a_run("print(1)"))

    assert "absent" in refused.value.evidence


async def test_the_kubelets_own_deadline_is_a_timeout(
    world: World, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, lambda spec: spec.update(activeDeadlineSeconds=4))
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        report = await Seen().run(sandbox, a_run("import time\ntime.sleep(60)", timeout_seconds=60))

    assert (report.outcome, report.receipt) == (RunOutcome.TIMED_OUT, False)


async def test_memory_that_only_a_child_used_up_is_no_success(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's doing: the runner, who counts too, looks away here."""

    def looks_away(*words: Any) -> Order:
        order = order_for(*words)
        order.resident_bytes = None
        return order

    monkeypatch.setattr(backend_module, "order_for", looks_away)
    script = "import os\nif os.fork() == 0:\n    x = b'x' * (3 << 30)\nos.wait()\nraise SystemExit(1)"
    request, placement = a_run(script), world.placement()
    async with (
        KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox,
        Cluster.connect(world.kubeconfig) as cluster,
        Reflector(cluster, placement.namespace, SELECTOR).running() as reflector,
        reflector.changes(pod_name(request.run_id)) as changes,
    ):
        report = await Seen().run(sandbox, request)
        async with asyncio.timeout(60):
            while (terminated := (await changes.get()).terminated) is None:
                pass

    assert (terminated.reason, terminated.exit_code) == ("OOMKilled", 0)
    assert (report.outcome, report.receipt) == (RunOutcome.MEMORY_LIMIT, True)


async def test_memory_that_the_runner_itself_wanted_is_a_memory_limit(
    world: World, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told by nobody but the cluster: there is no receipt."""
    monkeypatch.setattr(backend_module, "compiled_by", too_large_a_pack)
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        with pytest.raises(SandboxUnavailable, match="before the script could begin") as refused:
            await Seen().run(sandbox, a_run("print(1)"))

    assert refused.value.evidence == Cause.OUT_OF_MEMORY.value


async def too_large_a_pack(*_: Any) -> bytes:
    """What is executed in the runner's place uses up the pod's memory."""
    pack = marshal.dumps((compile("x = b'x' * (6 << 30)", "a pack", "exec"),))
    return b"%010d%s" % (len(pack), pack)


@pytest.mark.slow
async def test_a_pod_that_is_evicted_for_its_disk_is_a_disk_limit(
    world: World, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its output is what is on its disk; the log of an evicted pod is an error text, which is taken for no frame."""

    def small(spec: Spec) -> None:
        for kind in ("requests", "limits"):
            spec["containers"][0]["resources"][kind]["ephemeral-storage"] = "2Mi"

    changed(monkeypatch, small)
    script = "import time\nfor _ in range(64): print('x' * 65536, flush=True)\ntime.sleep(120)"
    limits = RunLimits(output_bytes=8 << 20)
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        report = await Seen().run(sandbox, a_run(script, timeout_seconds=120, limits=limits))

    assert (report.outcome, report.receipt) == (RunOutcome.DISK_LIMIT, False)
    assert "ephemeral" in report.message


async def test_a_command_that_the_image_has_not_is_ours(
    world: World, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, lambda spec: spec["containers"][0].update(command=["/absent"]))
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        with pytest.raises(SandboxUnavailable) as refused:
            await Seen().run(sandbox, a_run("print(1)"))

    assert "absent" in refused.value.evidence


@pytest.mark.slow
async def test_a_runtime_that_no_node_has_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_start, "SCHEDULED_WITHIN", 4.0)
    monkeypatch.setattr(pod_start, "STARTED_WITHIN", 4.0)
    kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "airlock-test-absent"}}
    world.kubectl("apply", "-f", "-", given={**kind, "handler": "absent"})
    placement = world.placement(runtime_class="airlock-test-absent")
    try:
        async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
            with pytest.raises(SandboxUnavailable, match="sandbox") as refused:
                await Seen().run(sandbox, a_run("print(1)"))
    finally:
        world.kubectl("delete", "-f", "-", "--wait=false", given=kind)

    assert "absent" in refused.value.evidence


async def test_a_log_that_is_not_there_is_nothing(world: World) -> None:
    """Row 17: of an unscheduled pod it is empty, of an unknown one it is not found. Neither is an end."""
    placement = world.placement(node_selector={"airlock/no-such": "pool"})
    pod = manifest(a_run(""), placement, "a test", datetime.now(UTC))
    pieces: list[bytes] = []

    async def keep(data: bytes) -> None:
        pieces.append(data)

    async with Cluster.connect(world.kubeconfig) as cluster:
        await cluster.create_pod(placement.namespace, pod)
        try:
            for name in ("absent", pod["metadata"]["name"]):
                await PodStream(cluster, placement.namespace, name, "").from_log(keep)
        finally:
            await asyncio.to_thread(world.remove_pod, placement.namespace, pod["metadata"]["name"])

    assert pieces == []


@pytest.mark.slow
async def test_a_log_that_is_rotated_costs_no_line(world: World, tmp_path: Path) -> None:
    """The kubelet keeps 10 MiB in a file and looks every 10 s; every connection is cut before that, and after it."""
    lines, size = 192, 65_000
    writes = f"for n in range({lines}): print(f'{{n:04}}' + 'x' * {size}, flush=True)\n"
    script = f"import time\n{writes}time.sleep(12)\nprint('end', flush=True)\ntime.sleep(1)"
    seen, limits = Seen(), RunLimits(output_bytes=16 << 20)
    async with (
        proxied(world, tmp_path) as (proxy, kubeconfig),
        KubernetesSandbox.opened(kubeconfig, world.placement(), ENVIRONMENTS) as sandbox,
    ):

        async def watch(event: RunEvent) -> None:
            await seen.watch(event)
            if isinstance(event, Printed) and event.text.startswith(("0191", "end")):
                proxy.cut()

        run = sandbox.run(
            a_run(script, timeout_seconds=60, limits=limits), answer=echo, watch=watch, stop=asyncio.Event()
        )
        report = await asyncio.wait_for(run, 120)

    numbers = [line[:4] for line in seen.lines if line[:4].isdigit()]
    assert list(dict.fromkeys(numbers)) == [f"{n:04}" for n in range(lines)]
    assert seen.lines[-1] == "end"
    assert (report.outcome, report.receipt, report.usage.output_truncated) == (RunOutcome.COMPLETED, True, False)
    assert report.usage.output_bytes == lines * (size + 5) + 4


async def test_a_lost_node_is_said_to_be_lost(world: World) -> None:
    if not (TOOLS / "ctl").exists():
        pytest.skip("the kubelet can be stopped on our own cluster only")
    seen = Seen()

    async def stop_at_first_line(event: Any) -> None:
        await seen.watch(event)
        if seen.printed.is_set():
            await asyncio.to_thread(kubelet, "stop")

    script = "import time\nprint(1, flush=True)\ntime.sleep(60)"
    request = a_run(script, timeout_seconds=25)
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as sandbox:
        try:
            with pytest.raises(NodeLost):
                await sandbox.run(request, answer=echo, watch=stop_at_first_line, stop=seen.stop)
        finally:
            await asyncio.to_thread(kubelet, "start")
            world.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=50s")


def kubelet(action: str) -> None:
    subprocess.run([str(TOOLS / "ctl"), action, "kubelet"], capture_output=True, check=True, timeout=60)
