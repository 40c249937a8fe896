"""What an operator's file asks of the cluster is honoured and said, or the run is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from domain.errors import PodRefused, SandboxUnavailable
from domain.outcomes import RunOutcome
from sandbox.kubernetes import pod_start
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.manifest import pod_name
from tests.sandbox.kubernetes.runs import Seen, a_run
from tests.sandbox.kubernetes.world import ENVIRONMENTS, World

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
WAITS = "import time\nprint(1, flush=True)\ntime.sleep(2)"
CLASS, POOL = "airlock-test-runc", "airlock-test-pool"


@pytest.fixture
def runtime_class(world: World) -> Iterator[str]:
    """Another name for the node's own runtime."""
    kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": CLASS}, "handler": "runc"}
    made = world.kubectl("apply", "-f", "-", given=kind)
    assert made.returncode == 0, made.stderr
    yield CLASS
    world.kubectl("delete", "-f", "-", "--wait=false", given=kind)


@pytest.fixture
def pool(world: World) -> Iterator[str]:
    """A label that every node has."""
    world.kubectl("label", "nodes", "--all", "--overwrite", f"{POOL}=scripts")
    yield POOL
    world.kubectl("label", "nodes", "--all", f"{POOL}-")


async def test_a_runtime_class_is_honoured_and_told(world: World, runtime_class: str) -> None:
    placement = world.placement(runtime_class=runtime_class)
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        report = await Seen().run(sandbox, a_run("print(1)"))

    assert report.outcome is RunOutcome.COMPLETED
    assert report.isolation.details["runtime_class"] == runtime_class
    assert report.isolation.level == 2  # what was observed, whatever the class is called


async def test_a_runtime_class_that_is_not_there_is_refused(world: World) -> None:
    placement = world.placement(runtime_class="absent")
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        with pytest.raises(PodRefused):
            await Seen().run(sandbox, a_run("print(1)"))


async def test_a_pool_of_nodes_is_honoured(world: World, pool: str) -> None:
    placement = world.placement(node_selector={pool: "scripts"})
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        report = await Seen().run(sandbox, a_run("print(1)"))

    nodes = json.loads(world.kubectl("get", "nodes", "-l", f"{pool}=scripts", "-o", "json").stdout)["items"]
    assert report.isolation.details["node"] in {each["metadata"]["name"] for each in nodes}


async def test_a_priority_class_that_displaces_nobody_is_honoured(world: World) -> None:
    placement, request, seen = world.placement(priority_class="airlock-scripts"), a_run(WAITS), Seen()
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        running = asyncio.create_task(seen.run(sandbox, request))
        await asyncio.wait_for(seen.printed.wait(), 60)
        spec = world.read("pod", placement.namespace, pod_name(request.run_id))["spec"]
        report = await asyncio.wait_for(running, 60)

    assert (spec["priority"] < 0, spec["preemptionPolicy"]) == (True, "Never")
    assert report.outcome is RunOutcome.COMPLETED


ASKED = {
    "strict_groups": "SupplementalGroupsPolicy",
    "apparmor": "AppArmor",
    "user_namespace": "user namespace",
}
"""And what a node says that does not know it."""


@pytest.mark.parametrize("asked", ASKED)
async def test_what_a_node_does_not_know_is_refused_with_its_words(
    asked: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it does know, the run begins: a user namespace is seen inside, since old runtimes ignore the field."""
    monkeypatch.setattr(pod_start, "SCHEDULED_WITHIN", 5.0)
    monkeypatch.setattr(pod_start, "STARTED_WITHIN", 5.0)
    placement = world.placement().model_copy(update={asked: True})
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        told = await told_of(asked, sandbox)

    assert ASKED[asked] in told


async def told_of(asked: str, sandbox: KubernetesSandbox) -> str:
    """What a run says of what was asked for."""
    seen = Seen()
    try:
        report = await seen.run(sandbox, a_run("print(1)"))
    except SandboxUnavailable as refused:
        assert seen.events == []
        return f"{refused.message} {refused.evidence}"
    return ASKED[asked] if report.isolation.checks.get(asked, True) else "nothing"
