"""Which controls really hold on a cluster: asked of it, tried on it without creating anything, and seen by one run."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from domain.environments import Environment
from domain.errors import PlatformError
from domain.runs import Backend, Isolation, RunPurpose, RunRequest
from domain.values import Value
from sandbox.kubernetes.access import missing_to_run, missing_to_watch, more_than_needed
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.cluster_errors import ClusterAway, ClusterError, NotFound, Refused
from sandbox.kubernetes.demands import BOUNDS, DEMANDS, POD_SECURITY, POLICY, weakened
from sandbox.kubernetes.manifest import SELECTOR, Placement, manifest
from sandbox.kubernetes.reflector import Reflector
from sandbox.profiles.tables import required_of

QUOTA, NETWORK_POLICY = "all-scripts", "nothing-in-nothing-out"
"""The names of ours, for users who may read one and not list all."""
_API = {
    "admissionregistration.k8s.io/v1": "validatingadmissionpolicies",
    "networking.k8s.io/v1": "networkpolicies",
    "coordination.k8s.io/v1": "leases",
    "node.k8s.io/v1": "runtimeclasses",
}
_SHARED_WITH_HOST, _USER_NAMESPACE = "4294967295", "user_namespace"
_REFUSERS = {
    "pod security": POD_SECURITY,
    "admission policy": POLICY,
    "bounds of one script": BOUNDS,
}


class Holds(StrEnum):
    """What is known of a control."""

    YES = "holds"
    NO = "does not hold"
    UNKNOWN = "unknown"


class Observation(Value):
    """One control in one namespace, and how it was seen."""

    control: str
    namespace: str | None = None
    """None: it is the whole cluster's."""
    holds: Holds
    seen: str
    demanded: bool = True
    """False for what nobody asked of this cluster: it is said, and nothing fails by it."""


class Seen(NamedTuple):
    """An answer before it has a name."""

    holds: Holds
    how: str


async def inspected_cluster(cluster: Cluster) -> AsyncGenerator[Observation]:
    """What concerns all namespaces. Raises ClusterError where the server is away, or does not know this user."""
    yield Observation(control="API server", holds=Holds.YES, seen=f"{await cluster.version()}, by its own word")
    for version, resource in _API.items():
        try:
            served = await cluster.read(f"/apis/{version}")
            there = any(each["name"] == resource for each in served.get("resources", ()))
        except NotFound:
            there = False
        seen = f"{version} is {'served' if there else 'not served'}, by the list of what is"
        yield Observation(control=resource, holds=Holds.YES if there else Holds.NO, seen=seen)


async def inspected(
    cluster: Cluster, placement: Placement, purpose: RunPurpose, environments: Mapping[str, Environment]
) -> AsyncGenerator[Observation]:
    """What holds where the pods of one trust class run. Raises ClusterError where the server is away."""
    namespace = placement.namespace

    def said(control: str, seen: Seen, *, demanded: bool = True) -> Observation:
        return Observation(control=control, namespace=namespace, holds=seen.holds, seen=seen.how, demanded=demanded)

    lacking = await missing_to_run(cluster, namespace)
    yield said("rights to run scripts", _rights(lacking, "this user may not", "every verb was asked for"))
    lacking = await missing_to_watch(cluster, namespace)
    yield said(
        "rights to watch them", _rights(lacking, "this user may not", "every verb was asked for"), demanded=False
    )
    more = await more_than_needed(cluster, namespace)
    yield said("no rights beyond", _rights(more, "this user may", "the dangerous ones were asked for"), demanded=False)
    for control, seen in (await _refusals(cluster, placement, purpose)).items():
        yield said(control, seen)
    yield said("nobody enters a pod", await _entrance(cluster, namespace))
    yield said("quota", await _object(cluster, namespace, "resourcequotas", "/api/v1", QUOTA, _is_bounded))
    group = "/apis/networking.k8s.io/v1"
    closed = await _object(cluster, namespace, "networkpolicies", group, NETWORK_POLICY, _is_closed)
    yield said("network policy", closed)
    yield said("runtime class", await _runtime_class(cluster, placement), demanded=bool(placement.runtime_class))
    async for control, seen in _proof(cluster, placement, environments):
        yield said(control, seen, demanded=control != _USER_NAMESPACE or placement.user_namespace)


def _rights(found: tuple[str, ...], words: str, otherwise: str) -> Seen:
    if found:
        return Seen(Holds.NO, f"{words} {', '.join(found)} (SelfSubjectAccessReview)")
    return Seen(Holds.YES, f"{otherwise} (SelfSubjectAccessReview)")


async def _refusals(cluster: Cluster, placement: Placement, purpose: RunPurpose) -> dict[str, Seen]:
    """By who should refuse them: the weakened pods that are taken. A good one has to be, or a refusal says nothing."""
    if not placement.images:
        return dict.fromkeys(_REFUSERS, Seen(Holds.UNKNOWN, "the cluster file names no image to try"))
    pod = _a_pod(placement, purpose)
    refused = await _refusal(cluster, pod)
    if refused is not None:
        return dict.fromkeys(_REFUSERS, Seen(Holds.UNKNOWN, f"a pod as Airlock makes it is refused: {refused}"))
    found: dict[str, Seen] = {}
    for control, refuser in _REFUSERS.items():
        demands = {name: demand for name, demand in DEMANDS.items() if demand.by == refuser}
        taken = [name for name, demand in demands.items() if await _refusal(cluster, weakened(pod, demand)) is None]
        how = f"{len(demands) - len(taken)} of {len(demands)} weakened pods were refused (dry run)"
        found[control] = Seen(Holds.NO if taken else Holds.YES, how + (f"; taken: {', '.join(taken)}" if taken else ""))
    return found


def _a_pod(placement: Placement, purpose: RunPurpose) -> dict[str, Any]:
    request = RunRequest(
        run_id=f"probe-{secrets.token_hex(8)}",
        purpose=purpose,
        script=b"",
        model_id="mock",
        environment=next(iter(placement.images)),
        timeout_seconds=10,
    )
    return manifest(request, placement, secrets.token_hex(8), datetime.now(UTC))


async def _refusal(cluster: Cluster, pod: Mapping[str, Any]) -> str | None:
    """The server's words, None where it would take the pod. Raises ClusterAway."""
    try:
        await cluster.write("POST", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods?dryRun=All", pod)
    except ClusterAway:
        raise
    except ClusterError as error:
        return error.words
    return None


async def _entrance(cluster: Cluster, namespace: str) -> Seen:
    """Admission comes before the pod is looked for, so that none is needed."""
    try:
        await cluster.read(f"/api/v1/namespaces/{namespace}/pods/no-such-pod/exec", {"command": "true"})
    except Refused as error:
        if f'namespaces "{namespace}" not found' in error.words:  # the policy cannot be asked, and refuses for that
            return Seen(Holds.UNKNOWN, f"there is no namespace {namespace}")
        return Seen(Holds.YES, f"exec was tried and refused: {error.words}")
    except NotFound:
        return Seen(Holds.NO, "exec was tried, and only the pod that it named was missing")
    return Seen(Holds.NO, "exec was tried and taken")


async def _object(
    cluster: Cluster, namespace: str, resource: str, group: str, name: str, fits: Callable[[Mapping[str, Any]], bool]
) -> Seen:
    """Whether one of the namespace's objects fits: all of them where they may be listed, ours where it may be read."""
    path = f"{group}/namespaces/{namespace}/{resource}"
    try:
        found: list[dict[str, Any]] = (await cluster.read(path)).get("items") or []
    except Refused:
        try:
            found = [await cluster.read(f"{path}/{name}")]
        except NotFound:
            found = []
        except Refused:
            return Seen(Holds.UNKNOWN, f"this user may neither list nor get {resource} in {namespace}")
    fitting = [each["metadata"]["name"] for each in found if fits(each.get("spec") or {})]
    if fitting:
        return Seen(Holds.YES, f"{', '.join(fitting)} was read")
    return Seen(Holds.NO, f"none of {len(found)} {resource} that were read does it")


def _is_bounded(spec: Mapping[str, Any]) -> bool:
    return {"pods", "limits.cpu", "limits.memory"} <= set(spec.get("hard") or {})


def _is_closed(spec: Mapping[str, Any]) -> bool:
    selector: Mapping[str, Any] = spec.get("podSelector") or {}
    everybody = not any(selector.values())
    both = {"Ingress", "Egress"} <= set(spec.get("policyTypes") or ())
    return everybody and both and not spec.get("ingress") and not spec.get("egress")


async def _runtime_class(cluster: Cluster, placement: Placement) -> Seen:
    name = placement.runtime_class
    if not name:
        return Seen(Holds.NO, "the cluster file asks for none: pods share their node's kernel")
    try:
        found = await cluster.read(f"/apis/node.k8s.io/v1/runtimeclasses/{name}")
    except NotFound:
        return Seen(Holds.NO, f"there is no runtime class {name}")
    except Refused:
        return Seen(Holds.UNKNOWN, "this user may not get runtimeclasses.node.k8s.io")
    return Seen(
        Holds.YES, f"{name} was read, its handler is {found.get('handler')}; whether a node has it, a pod shows"
    )


async def _proof(
    cluster: Cluster, placement: Placement, environments: Mapping[str, Environment]
) -> AsyncGenerator[tuple[str, Seen]]:
    """What one run of an empty script saw from inside its pod."""
    async with Reflector(cluster, placement.namespace, SELECTOR).running() as reflector:
        try:
            isolation = await KubernetesSandbox(cluster, reflector, placement, environments).probe()
        except PlatformError as error:
            found = _disproved(error)
        else:
            found = _proved(isolation)
    for control, seen in found.items():
        yield control, seen


def _proved(isolation: Isolation) -> dict[str, Seen]:
    found = {
        name: Seen(Holds.YES if held else Holds.NO, f"from inside a pod: {isolation.details.get(name, 'as asked')}")
        for name, held in isolation.checks.items()
    }
    if _USER_NAMESPACE not in found:
        uid_map = isolation.details.get("uid_map", _SHARED_WITH_HOST)
        shared = _SHARED_WITH_HOST in uid_map
        found[_USER_NAMESPACE] = Seen(Holds.NO if shared else Holds.YES, f"from inside a pod: uid map {uid_map}")
    return found


def _disproved(error: PlatformError) -> dict[str, Seen]:
    """The runner names each control that is not in force, and has looked at all of them then."""
    controls = required_of(Backend.KUBERNETES)
    said = f"{error.message} {error.evidence}".strip()
    failed = set(re.findall(r"\w+", error.message)) & {*controls, _USER_NAMESPACE}
    if not failed:
        return {"a pod proves itself": Seen(Holds.NO, said)} | dict.fromkeys(
            controls, Seen(Holds.UNKNOWN, "no pod has looked")
        )
    held = Seen(Holds.YES, "from inside a pod, which was refused for another control")
    return {name: Seen(Holds.NO, f"from inside a pod: {said}") if name in failed else held for name in controls}
