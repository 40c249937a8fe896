"""Each role may do what its work needs, and nothing else: asked of the cluster as that role."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.kubernetes.access import Access
from sandbox.kubernetes.cluster import Cluster
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
LEASES = {
    ("create", "leases.coordination.k8s.io"),  # a right to create cannot name what is created
    ("get", "leases.coordination.k8s.io airlock-monitor"),
    ("update", "leases.coordination.k8s.io airlock-monitor"),
}
NOTHING: set[tuple[str, str]] = set()
RIGHTS = {
    ("airlock-validation", TRIALS): WORKER,
    ("airlock-validation", EXECUTIONS): NOTHING,
    ("airlock-execution", EXECUTIONS): WORKER,
    ("airlock-execution", TRIALS): NOTHING,
    ("airlock-monitor", TRIALS): MONITOR,
    ("airlock-monitor", EXECUTIONS): MONITOR,
    ("airlock-validation", "airlock"): NOTHING,
    ("airlock-execution", "airlock"): NOTHING,
    ("airlock-monitor", "airlock"): LEASES,
}
OF_EVERYBODY = {
    ("create", "selfsubjectaccessreviews.authorization.k8s.io"),
    ("create", "selfsubjectrulesreviews.authorization.k8s.io"),
    ("create", "selfsubjectreviews.authentication.k8s.io"),
}
"""To ask what one may do."""
ACCOUNTS = ("airlock-validation", "airlock-execution", "airlock-monitor")


async def rights_of(kubeconfig: Path, namespace: str) -> set[tuple[str, str]]:
    """Every verb on every resource that the cluster itself lists, with its group, and a name where it is that one's."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    async with Cluster.connect(kubeconfig) as cluster:
        said = await cluster.write("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
    status = said["status"]
    assert not status.get("incomplete"), status.get("evaluationError")
    return {
        (verb, f"{resource}.{group}".rstrip(".") + f" {name}".rstrip())
        for rule in status["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
    }


@pytest.mark.parametrize(("account", "namespace"), RIGHTS)
async def test_a_role_has_exactly_its_rights(account: str, namespace: str, world: World, tmp_path: Path) -> None:
    may = await rights_of(world.as_role(account, tmp_path), namespace)

    assert may - OF_EVERYBODY == RIGHTS[account, namespace]


@pytest.mark.parametrize("namespace", ["default", "kube-system", "kube-public"])
@pytest.mark.parametrize("account", [*ACCOUNTS, "default"])
async def test_no_account_may_do_anything_elsewhere(account: str, namespace: str, world: World, tmp_path: Path) -> None:
    assert await rights_of(world.as_role(account, tmp_path), namespace) - OF_EVERYBODY == set()


@pytest.mark.parametrize("namespace", [TRIALS, EXECUTIONS])
async def test_the_account_of_scripts_may_do_nothing_at_all(namespace: str, world: World, tmp_path: Path) -> None:
    script = world.as_role("airlock-script", tmp_path, of=namespace)

    assert {place: await rights_of(script, place) - OF_EVERYBODY for place in (namespace, "airlock")} == {
        namespace: set(),
        "airlock": set(),
    }


WITHOUT_REVIEW = (
    ("create", "pods/exec"),
    ("create", "pods/portforward"),
    ("get", "pods/proxy"),
    ("update", "pods/ephemeralcontainers"),
    ("patch", "pods/resize"),
    ("patch", "pods/status"),
    ("create", "pods/binding"),
    ("create", "pods/eviction"),
    ("create", "serviceaccounts/token"),
    ("get", "secrets"),
)


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_what_would_open_a_pod_is_refused_when_it_is_asked_for_by_name(
    account: str, world: World, tmp_path: Path
) -> None:
    async with Cluster.connect(world.as_role(account, tmp_path)) as cluster:
        allowed = [
            (verb, resource, namespace)
            for verb, resource in WITHOUT_REVIEW
            for namespace in (TRIALS, EXECUTIONS, "airlock")
            if await cluster.may(Access(verb=verb, resource=resource, namespace=namespace))
        ]

    assert allowed == []


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_no_role_reaches_the_cluster_itself(account: str, world: World, tmp_path: Path) -> None:
    wanted = [
        Access(verb="list", resource="nodes"),
        Access(verb="get", resource="nodes/proxy"),
        Access(verb="list", resource="pods"),
        Access(verb="impersonate", resource="users"),
        Access(verb="create", resource="rolebindings", group="rbac.authorization.k8s.io", namespace=EXECUTIONS),
        Access(verb="delete", resource="validatingadmissionpolicies", group="admissionregistration.k8s.io"),
        Access(verb="patch", resource="namespaces", namespace=EXECUTIONS),
    ]
    async with Cluster.connect(world.as_role(account, tmp_path)) as cluster:
        allowed = [each for each in wanted if await cluster.may(each)]

    assert allowed == []
