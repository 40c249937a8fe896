"""Which of several processes acts: the one that holds a Lease of the cluster.

No two clocks are ever compared. A holder counts from before it asked for a renewal; the others count from when they
saw the Lease change last, by their own clocks. As the first period is the shorter one, a holder has ceased to act
before another begins, however wrong the clocks are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol, Self

import structlog

from sandbox.kubernetes.cluster_errors import ClusterError, Conflict, NotFound

LEASE_SECONDS = 4
"""How long the others believe in a holder after its last renewal."""
ACTS_FOR = 2.5
"""Seconds that a holder acts after its last renewal."""
RENEWED_EVERY = 1.0
ASKED_WITHIN = 1.5
"""Seconds for one attempt: a renewal that comes too late is none."""

_log = structlog.get_logger()


class Leases(Protocol):
    """What is asked of the cluster."""

    async def read(self, path: str) -> dict[str, Any]:
        """Any object. Raises NotFound."""
        ...

    async def write(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create or replace it. Raises Conflict where it has changed meanwhile."""
        ...


class Lease:
    """One process's view of a Lease, and its attempts to hold it."""

    def __init__(
        self, cluster: Leases, namespace: str, name: str, holder: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`holder` names this process and no other, not even an earlier one of the same machine."""
        self._cluster = cluster
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._holder = holder
        self._clock = clock
        self._renewed_at: float | None = None
        self._seen: tuple[str, float] | None = None
        """Which version of the Lease was seen, and since when."""

    @property
    def held(self) -> bool:
        """Whether this process may act."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < ACTS_FOR

    @asynccontextmanager
    async def contended(self) -> AsyncGenerator[Self]:
        """Hold it whenever that is possible, while the context is open; afterwards it is free at once."""
        contending = asyncio.create_task(self._contend(), name="lease")
        try:
            yield self
        finally:
            contending.cancel()
            await asyncio.wait([contending])
            await self.release()

    async def attempt(self) -> None:
        """Take or renew it, where nobody else holds it. Raises ClusterError."""
        asked_at = self._clock()
        try:
            lease = await self._cluster.read(f"{self._path}/{self._name}")
        except NotFound:
            await self._cluster.write("POST", self._path, self._object({}, self._holder))
        else:
            if not self._may_take(lease):
                return
            await self._cluster.write("PUT", f"{self._path}/{self._name}", self._object(lease, self._holder))
        self._renewed_at = asked_at

    async def release(self) -> None:
        """Let it go, where it is held."""
        if not self.held:
            return
        self._renewed_at = None
        with suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(ASKED_WITHIN):
                lease = await self._cluster.read(f"{self._path}/{self._name}")
                if _holder_of(lease) == self._holder:
                    await self._cluster.write("PUT", f"{self._path}/{self._name}", self._object(lease, ""))

    async def _contend(self) -> None:
        while True:
            held = self.held
            try:
                async with asyncio.timeout(ASKED_WITHIN):
                    await self.attempt()
            except Conflict:
                pass  # another one was faster, or our own earlier attempt came through
            except (ClusterError, TimeoutError) as error:
                _log.warning("lease_not_renewed", error=type(error).__name__, held=self.held)
            except (KeyError, TypeError, ValueError) as error:  # no Lease as we know it
                _log.exception("lease_broke", error=type(error).__name__)
            if self.held and not held:
                _log.info("lease_held", name=self._name)
            await asyncio.sleep(RENEWED_EVERY)

    def _may_take(self, lease: Mapping[str, Any]) -> bool:
        version, now = lease["metadata"]["resourceVersion"], self._clock()
        if self._seen is None or self._seen[0] != version:
            self._seen = version, now
        if _holder_of(lease) in {"", self._holder}:
            return True
        spec: Mapping[str, Any] = lease.get("spec") or {}
        return now - self._seen[1] >= (spec.get("leaseDurationSeconds") or LEASE_SECONDS)

    def _object(self, lease: Mapping[str, Any], holder: str) -> dict[str, Any]:
        """What is written. Its times are for people."""
        before: Mapping[str, Any] = lease.get("spec") or {}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        passed_on = bool(holder) and before.get("holderIdentity") != holder
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now if passed_on else before.get("acquireTime") or now,
            "renewTime": now,
            "leaseTransitions": (before.get("leaseTransitions") or 0) + passed_on,
        }
        metadata = lease.get("metadata") or {"name": self._name}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _holder_of(lease: Mapping[str, Any]) -> str:
    spec: Mapping[str, Any] = lease.get("spec") or {}
    return spec.get("holderIdentity") or ""
