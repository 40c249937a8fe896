"""No script begins in a pod that does not prove, from inside, that its walls are up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import sandbox.kubernetes.backend as backend_module
from domain.errors import SandboxUnavailable
from domain.outcomes import RunOutcome
from domain.runs import Backend
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.manifest import manifest
from sandbox.profiles.tables import required_of
from tests.sandbox.kubernetes.runs import Seen, a_run
from tests.sandbox.kubernetes.world import ENVIRONMENTS, World, namespace_of_its_own

pytestmark = pytest.mark.cluster

POLICY = "nothing-in-nothing-out"


@pytest.fixture
def namespace(world: World) -> Iterator[str]:
    with namespace_of_its_own(world) as name:
        yield name


async def test_every_control_is_proved_and_told(world: World, namespace: str) -> None:
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        report = await Seen().run(sandbox, a_run("print(1)"))

    assert set(report.isolation.checks) == set(required_of(Backend.KUBERNETES))
    assert report.isolation.details["network_closed"] == "nothing answers"
    assert {"uid_map", "capabilities_zero", "root_read_only"} <= set(report.isolation.details)


async def test_a_pod_whose_network_is_open_begins_nothing(world: World, namespace: str) -> None:
    world.kubectl("delete", "networkpolicy", "-n", namespace, POLICY)
    seen = Seen()
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        with pytest.raises(SandboxUnavailable, match="network_closed") as refused:
            await seen.run(sandbox, a_run("print(1)"))

    assert "answers" in refused.value.evidence
    assert seen.events == []
    assert world.is_empty(namespace, 15)


async def test_a_network_policy_that_comes_late_is_waited_for(world: World, namespace: str) -> None:
    policy = world.read("networkpolicy", namespace, POLICY)
    world.kubectl("delete", "networkpolicy", "-n", namespace, POLICY)
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        running = asyncio.create_task(Seen().run(sandbox, a_run("print(1)")))
        await asyncio.sleep(1.5)
        await asyncio.to_thread(world.kubectl, "apply", "-f", "-", given=policy)
        report = await running

    assert report.outcome is RunOutcome.COMPLETED


async def test_a_pod_whose_root_can_be_written_begins_nothing(
    world: World, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.kubectl("label", "namespace", namespace, "airlock/scripts-")  # otherwise the cluster refuses it

    def writable(*words: Any) -> dict[str, Any]:
        pod = manifest(*words)
        pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False
        return pod

    monkeypatch.setattr(backend_module, "manifest", writable)
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        with pytest.raises(SandboxUnavailable, match="root_read_only"):
            await Seen().run(sandbox, a_run("print(1)"))
