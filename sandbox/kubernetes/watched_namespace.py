"""A namespace for scripts as the monitor sees it: all of its pods, ours and others', and the walls around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from domain.errors import SandboxUnavailable
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.cluster_errors import ClusterError
from sandbox.kubernetes.manifest import Placement
from sandbox.kubernetes.pod_start import ended
from sandbox.kubernetes.pod_view import PodView
from sandbox.kubernetes.reflector import Reflector
from sandbox.kubernetes.walls import Wall, missing_walls

EVERY_POD = ""
"""Selects by no label: one that loses Airlock's would otherwise be gone from sight."""
LISTED_WITHIN = 10.0


class WatchedNamespace:
    """Sees and ends; starts nothing."""

    def __init__(self, cluster: Cluster, namespace: str, reflector: Reflector) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._reflector = reflector

    @classmethod
    @asynccontextmanager
    async def opened(cls, cluster: Cluster, namespace: str) -> AsyncGenerator[Self]:
        """Follow it while the context is open."""
        async with Reflector(cluster, namespace, EVERY_POD).running() as reflector:
            yield cls(cluster, namespace, reflector)

    @property
    def seconds_silent(self) -> float:
        """Since the watch has heard anything."""
        return self._reflector.silent_for

    def sandbox(self, placement: Placement) -> KubernetesSandbox:
        """For kills by run id, over the same view of the pods. It starts nothing, and so has no environments."""
        return KubernetesSandbox(self._cluster, self._reflector, placement, {})

    async def pods(self) -> tuple[PodView, ...]:
        """All that are there. Raises SandboxUnavailable where the watch has gone stale."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTED_WITHIN):
                await self._reflector.listed()
        if self._reflector.stale:
            raise SandboxUnavailable("the cluster has not told of its pods for too long", self._namespace)
        return self._reflector.pods()

    async def missing_walls(self) -> frozenset[Wall]:
        """Which walls around it do not stand. Raises SandboxUnavailable where nobody tells: unknown is not missing."""
        there = f"namespaces/{self._namespace}"
        try:
            policies = await self._listed(f"/apis/networking.k8s.io/v1/{there}/networkpolicies")
            return missing_walls(policies, await self._listed(f"/api/v1/{there}/resourcequotas"))
        except ClusterError as error:
            raise SandboxUnavailable("the cluster does not tell of its walls", error.words) from error

    async def ends_within(self, pod: PodView, seconds: float) -> bool:
        """Whether this very pod ends, or somebody is ending it, in time."""
        known = self._reflector.pod(pod.name)
        if known is None or known.uid != pod.uid:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._reflector.changes(pod.name) as changes:
                while True:
                    view = await changes.get()
                    if view.uid != pod.uid or view.ended or view.deleting:
                        return True
        return False

    async def end(self, pod: PodView) -> None:
        """End this very pod, and no later one of its name. Raises StopUnconfirmed."""
        await ended(self._cluster, self._namespace, pod)

    async def _listed(self, path: str) -> list[dict[str, Any]]:
        return (await self._cluster.list_page(path, {})).get("items") or []
