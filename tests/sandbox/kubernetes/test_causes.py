"""Causes that the cluster itself gives, each provoked on the real one and told as what it is."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sandbox.kubernetes.backend as backend_module
from domain.errors import NodeLost, SandboxUnavailable, Unschedulable
from domain.outcomes import RunOutcome
from sandbox.kubernetes import pod_start
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.manifest import manifest
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


async def test_memory_that_only_a_child_used_up_is_no_success(world: World) -> None:
    script = "import os\nif os.fork() == 0:\n    x = b'x' * (3 << 30)\nos.wait()\nraise SystemExit(1)"
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(), ENVIRONMENTS) as sandbox:
        report = await Seen().run(sandbox, a_run(script))

    assert report.outcome is RunOutcome.MEMORY_LIMIT


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
