"""A cluster that takes no pod: its quota is used up, or its namespace is not there. Time may help, and a stop does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from domain.errors import SandboxUnavailable, Unschedulable
from domain.outcomes import RunOutcome
from sandbox.kubernetes import pod_start
from sandbox.kubernetes.backend import KubernetesSandbox
from tests.sandbox.kubernetes.runs import Seen, a_run
from tests.sandbox.kubernetes.world import ENVIRONMENTS, World, make_namespace, namespace_of_its_own

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
WITHIN = 90.0


@pytest.fixture
def namespace(world: World) -> Iterator[str]:
    with namespace_of_its_own(world) as name:
        yield name


async def test_a_quota_that_stays_used_up_is_ours_to_fail_and_may_pass(
    world: World, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_start, "SCHEDULED_WITHIN", 1.0)
    world.kubectl("apply", "-f", "-", given=a_quota_for_nothing(namespace))
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        with pytest.raises(Unschedulable, match="quota is used up") as refused:
            await Seen().run(sandbox, a_run("print(1)"))

    assert refused.value.retryable


async def test_a_quota_that_is_used_up_is_waited_for(world: World, namespace: str) -> None:
    quota = a_quota_for_nothing(namespace)
    world.kubectl("apply", "-f", "-", given=quota)
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        running = asyncio.create_task(Seen().run(sandbox, a_run("print(1)")))
        await asyncio.wait({running}, timeout=3)
        waits = not running.done()
        await asyncio.to_thread(world.kubectl, "delete", "-f", "-", given=quota)
        report = await asyncio.wait_for(running, 90)

    assert waits
    assert report.outcome is RunOutcome.COMPLETED


async def test_a_run_that_waits_for_a_quota_is_stopped_at_once(world: World, namespace: str) -> None:
    world.kubectl("apply", "-f", "-", given=a_quota_for_nothing(namespace))
    seen = Seen()
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        running = asyncio.create_task(seen.run(sandbox, a_run("print(1)")))
        await asyncio.wait({running}, timeout=2)
        seen.stop.set()
        report = await asyncio.wait_for(running, 60)

    assert (report.outcome, report.reached_script) == (RunOutcome.STOPPED, False)


def a_quota_for_nothing(namespace: str) -> dict[str, Any]:
    metadata = {"name": "nothing", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "0"}}}


async def test_a_namespace_that_is_not_there_is_said_to_be_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_start, "SCHEDULED_WITHIN", 0.0)
    placement = world.placement("airlock-no-such-namespace")
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        with pytest.raises(SandboxUnavailable, match="the namespace of the pod is not there"):
            await Seen().run(sandbox, a_run("print(1)"))


async def test_a_namespace_that_is_removed_and_made_again_is_worked_in_again(world: World, namespace: str) -> None:
    """Without a restart of the worker, whose watch outlives what it watches."""
    async with KubernetesSandbox.opened(world.kubeconfig, world.placement(namespace), ENVIRONMENTS) as sandbox:
        before = await Seen().run(sandbox, a_run("print(1)"))
        await asyncio.to_thread(world.kubectl, "delete", "namespace", namespace, "--timeout=50s")
        running = asyncio.create_task(Seen().run(sandbox, a_run("print(2)")))
        await asyncio.wait({running}, timeout=2)
        waits = not running.done()
        await asyncio.to_thread(make_namespace, world, namespace)
        after = await asyncio.wait_for(running, WITHIN)

    assert waits
    assert [each.outcome for each in (before, after)] == [RunOutcome.COMPLETED] * 2
