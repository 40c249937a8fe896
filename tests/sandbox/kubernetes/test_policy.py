"""The cluster itself refuses a pod that asks for less than the policy demands, one demand at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.runs import RunPurpose, RunRequest
from sandbox.kubernetes.manifest import manifest
from tests.sandbox.kubernetes.world import EXECUTIONS, World

pytestmark = pytest.mark.cluster

Change = Callable[[dict[str, Any], dict[str, Any]], object]
"""Of a pod's spec and its container."""


def a_pod(world: World) -> dict[str, Any]:
    request = RunRequest(
        run_id="eval_policy-execution",
        purpose=RunPurpose.EXECUTION,
        script=b"",
        model_id="m",
        environment="default",
        timeout_seconds=60,
    )
    return manifest(request, world.placement(), "attempt", datetime.now(UTC))


def refusal_of(world: World, pod: dict[str, Any]) -> str:
    """The server's words; empty where it would take the pod."""
    tried = world.kubectl("create", "--dry-run=server", "-n", EXECUTIONS, "-f", "-", given=pod)
    return tried.stderr if tried.returncode else ""


def test_the_pod_of_a_run_is_taken(world: World) -> None:
    assert refusal_of(world, a_pod(world)) == ""


DEMANDS: dict[str, tuple[Change, str]] = {
    "a token": (lambda s, _c: s.pop("automountServiceAccountToken"), "no token"),
    "another account": (lambda s, _c: s.update(serviceAccountName="default"), "account without rights"),
    "restarts": (lambda s, _c: s.update(restartPolicy="Always", activeDeadlineSeconds=60), "runs once"),
    "no deadline": (lambda s, _c: s.pop("activeDeadlineSeconds"), "deadline"),
    "a late deadline": (lambda s, _c: s.update(activeDeadlineSeconds=4000), "deadline"),
    "grace 0": (lambda s, _c: s.update(terminationGracePeriodSeconds=0), "grace 0"),
    "a long grace": (lambda s, _c: s.pop("terminationGracePeriodSeconds"), "grace 0"),
    "a second container": (lambda s, c: s["containers"].append({**c, "name": "b"}), "one container"),
    "an init container": (lambda s, c: s.update(initContainers=[{**c, "name": "b"}]), "one container"),
    "an image by tag": (lambda _s, c: c.update(image="localhost/airlock/default:test"), "by digest"),
    "a foreign image": (lambda _s, c: c.update(image=f"localhost/other@sha256:{'a' * 64}"), "allowed place"),
    "a writable root": (lambda _s, c: c["securityContext"].pop("readOnlyRootFilesystem"), "read-only"),
    "no limits": (lambda _s, c: c["resources"].pop("limits"), "limited"),
    "less memory requested than limited": (lambda _s, c: c["resources"]["requests"].update(memory="1Mi"), "limited"),
    "a volume on disk": (lambda s, _c: s["volumes"][0]["emptyDir"].pop("medium"), "bounded memory"),
    "an unbounded volume": (lambda s, _c: s["volumes"][0]["emptyDir"].pop("sizeLimit"), "bounded memory"),
    "a config map": (lambda s, _c: s["volumes"].append({"name": "c", "configMap": {"name": "c"}}), "bounded memory"),
    "names": (lambda s, _c: s.update(dnsPolicy="Default"), "no names"),
    "addresses of services": (lambda s, _c: s.pop("enableServiceLinks"), "no names"),
    "shared processes": (lambda s, _c: s.update(shareProcessNamespace=True), "not shared"),
    "an environment": (lambda _s, c: c.update(env=[{"name": "A", "value": "b"}]), "no environment"),
    "a hook": (lambda _s, c: c.update(lifecycle={"preStop": {"sleep": {"seconds": 1}}}), "no environment"),
    "no user": (lambda s, _c: s["securityContext"].pop("runAsUser"), "user id"),
    "rising privileges": (
        lambda _s, c: c["securityContext"].update(allowPrivilegeEscalation=True),
        "PodSecurity",
    ),
    "the host's network": (lambda s, _c: s.update(hostNetwork=True), "PodSecurity"),
    "the host's files": (lambda s, _c: s["volumes"].append({"name": "h", "hostPath": {"path": "/"}}), "PodSecurity"),
    "capabilities": (lambda _s, c: c["securityContext"].pop("capabilities"), "PodSecurity"),
    "no filter": (lambda s, _c: s["securityContext"].update(seccompProfile={"type": "Unconfined"}), "PodSecurity"),
    "too much memory": (
        lambda _s, c: [c["resources"][each].update(memory="64Gi") for each in ("requests", "limits")],
        "maximum memory usage",
    ),
}


@pytest.mark.parametrize("demand", DEMANDS)
def test_the_cluster_refuses_a_pod_with(demand: str, world: World) -> None:
    change, words = DEMANDS[demand]
    pod = a_pod(world)
    change(pod["spec"], pod["spec"]["containers"][0])

    assert words in refusal_of(world, pod)


@pytest.mark.parametrize("change", ["finalizers", "labels"])
def test_a_pod_that_could_not_be_removed_or_found_is_refused(change: str, world: World) -> None:
    pod = a_pod(world)
    pod["metadata"] |= {"finalizers": ["example.org/stay"]} if change == "finalizers" else {"labels": {}}

    assert "keeps it from being deleted" in refusal_of(world, pod)


def test_nobody_injects_a_container_into_a_running_pod(world: World) -> None:
    pod = a_pod(world)
    world.kubectl("delete", "pod", "-n", EXECUTIONS, pod["metadata"]["name"], "--ignore-not-found")
    created = world.kubectl("create", "-n", EXECUTIONS, "-f", "-", given=pod)

    try:
        name, image = pod["metadata"]["name"], world.image
        spied = world.kubectl("debug", "-n", EXECUTIONS, name, f"--image={image}", "--profile=restricted", "--", "x")
    finally:
        world.kubectl("delete", "pod", "-n", EXECUTIONS, pod["metadata"]["name"], "--wait=false")
    assert created.returncode == 0
    assert "one container, and none beside it" in spied.stderr
