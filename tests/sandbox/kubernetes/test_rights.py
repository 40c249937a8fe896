"""Each role may do what its work needs, and nothing else: asked of the cluster as that role."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.kubernetes.cluster import Access, Cluster
from tests.sandbox.kubernetes.world import EXECUTIONS, TRIALS, World

pytestmark = pytest.mark.cluster

WORKER = {
    *((verb, "pods") for verb in ("create", "get", "list", "watch", "delete")),
    ("get", "pods/attach"),
    ("create", "pods/attach"),
    ("get", "pods/log"),
    ("list", "events"),
}
MONITOR = {
    *((verb, "pods") for verb in ("get", "list", "watch", "delete")),
    ("list", "resourcequotas"),
    ("list", "networkpolicies.networking.k8s.io"),
}
RIGHTS = {
    ("airlock-validation", TRIALS): WORKER,
    ("airlock-validation", EXECUTIONS): set[tuple[str, str]](),
    ("airlock-execution", EXECUTIONS): WORKER,
    ("airlock-execution", TRIALS): set[tuple[str, str]](),
    ("airlock-monitor", TRIALS): MONITOR,
    ("airlock-monitor", EXECUTIONS): MONITOR,
}
VERBS = ("create", "get", "list", "watch", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    "pods",
    "pods/attach",
    "pods/exec",
    "pods/log",
    "pods/portforward",
    "pods/ephemeralcontainers",
    "secrets",
    "configmaps",
    "serviceaccounts",
    "serviceaccounts/token",
    "events",
    "services",
    "resourcequotas",
    "networkpolicies.networking.k8s.io",
    "leases.coordination.k8s.io",
)


def access(verb: str, resource: str, namespace: str, name: str = "") -> Access:
    kind, _, group = resource.partition(".")
    return Access(verb=verb, resource=kind, group=group, namespace=namespace, name=name)


@pytest.mark.parametrize(("account", "namespace"), RIGHTS)
async def test_a_role_has_exactly_its_rights(account: str, namespace: str, world: World, tmp_path: Path) -> None:
    async with Cluster.connect(world.as_role(account, tmp_path)) as cluster:
        may = {
            (verb, resource)
            for verb in VERBS
            for resource in RESOURCES
            if await cluster.may(access(verb, resource, namespace))
        }

    assert may == RIGHTS[account, namespace]


@pytest.mark.parametrize("account", ["airlock-validation", "airlock-execution", "airlock-monitor"])
async def test_no_role_reaches_beyond_its_namespaces(account: str, world: World, tmp_path: Path) -> None:
    async with Cluster.connect(world.as_role(account, tmp_path)) as cluster:
        for namespace in ("airlock", "kube-system", "default"):
            for resource in ("pods", "secrets", "pods/exec"):
                assert not await cluster.may(Access(verb="create", resource=resource, namespace=namespace))
        assert not await cluster.may(Access(verb="list", resource="nodes"))
        assert not await cluster.may(
            Access(verb="create", resource="rolebindings", group="rbac.authorization.k8s.io", namespace=EXECUTIONS)
        )


async def test_the_monitor_may_hold_its_own_lease_and_touch_no_other(world: World, tmp_path: Path) -> None:
    async with Cluster.connect(world.as_role("airlock-monitor", tmp_path)) as cluster:
        may = {
            (verb, name)
            for verb in VERBS
            for name in ("airlock-monitor", "another")
            if await cluster.may(access(verb, "leases.coordination.k8s.io", "airlock", name))
        }

    assert may == {(verb, "airlock-monitor") for verb in ("create", "get", "update")} | {("create", "another")}
