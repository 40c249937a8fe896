"""What this user may do on a cluster, against what a role needs: for `doctor`, and before a worker starts."""

from __future__ import annotations

from sandbox.kubernetes.cluster import Access, Cluster

_RUNNING = (
    *((verb, "pods") for verb in ("create", "get", "list", "watch", "delete")),
    ("get", "pods/attach"),  # over WebSocket attach needs both
    ("create", "pods/attach"),
    ("get", "pods/log"),
    ("list", "events"),
)
_ENDING = (*((verb, "pods") for verb in ("get", "list", "watch", "delete")), ("list", "events"))
_DANGEROUS = (("create", "pods/exec"), ("get", "secrets"), ("list", "secrets"), ("update", "pods/ephemeralcontainers"))


async def missing_to_run(cluster: Cluster, namespace: str) -> tuple[str, ...]:
    """What a worker that runs scripts lacks there, each as `create pods in airlock-trials`. Raises ClusterError."""
    return await _lacking(cluster, namespace, _RUNNING)


async def missing_to_end(cluster: Cluster, namespace: str) -> tuple[str, ...]:
    """What the monitor lacks there. Raises ClusterError."""
    return await _lacking(cluster, namespace, _ENDING)


async def more_than_needed(cluster: Cluster, namespace: str) -> tuple[str, ...]:
    """What nobody of ours should be able to do there, and this user can. Raises ClusterError."""
    found = [(verb, kind) for verb, kind in _DANGEROUS if await _may(cluster, namespace, verb, kind)]
    return tuple(f"{verb} {kind} in {namespace}" for verb, kind in found)


async def _lacking(cluster: Cluster, namespace: str, wanted: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    lacking = [(verb, kind) for verb, kind in wanted if not await _may(cluster, namespace, verb, kind)]
    return tuple(f"{verb} {kind} in {namespace}" for verb, kind in lacking)


async def _may(cluster: Cluster, namespace: str, verb: str, resource: str) -> bool:
    return await cluster.may(Access(verb=verb, resource=resource, namespace=namespace))
