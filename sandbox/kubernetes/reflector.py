"""One view of all pods of a namespace per process: listed once, watched from there, and asked by whoever waits for one.

A pod is raw JSON until somebody looks: most change more often than they are looked at.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, Self

import structlog

from sandbox.kubernetes.cluster_errors import ClusterError, Expired
from sandbox.kubernetes.pod_view import PodView, view_of

PAGE = 500
WATCH_SECONDS = (240, 300)
"""The server ends a watch after a random time in between, so that workers do not all come back at once."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
"""Seconds between attempts, doubled each time, with jitter."""
STALE_AFTER = 90.0
"""Seconds without an event or a bookmark (one a minute): nothing that is seen here may be believed any more."""

_log = structlog.get_logger()


class Lists(Protocol):
    """What is asked of the cluster."""

    async def list_page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One page."""
        ...

    def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """The events from a resource version on."""
        ...


class Reflector:
    """The pods of one namespace that carry a label, or all of them."""

    def __init__(
        self,
        cluster: Lists,
        namespace: str,
        selector: str,
        *,
        now: Callable[[], float] = time.monotonic,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._cluster = cluster
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._selected = {"labelSelector": selector} if selector else {}
        self._now = now
        self._first_pause = first_pause
        self._raw: dict[str, dict[str, Any]] = {}
        """By uid, for a name may be used again; those that nobody has looked at since they changed."""
        self._views: dict[str, PodView] = {}
        """Likewise; the others."""
        self._versions: dict[str, str] = {}
        """Of all."""
        self._names: dict[str, str] = {}
        self._heard_at = now()
        self._listed = asyncio.Event()
        self._waiting: dict[str, set[asyncio.Queue[PodView]]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Follow the cluster while the context is open."""
        following = asyncio.create_task(self._follow(), name="reflector")
        try:
            yield self
        finally:
            following.cancel()
            await asyncio.wait([following])

    @property
    def silent_for(self) -> float:
        """Seconds since the cluster said anything."""
        return self._now() - self._heard_at

    @property
    def stale(self) -> bool:
        """Whether what is seen here is too old to be believed."""
        return not self._listed.is_set() or self.silent_for > STALE_AFTER

    async def listed(self) -> None:
        """Until the first list is complete."""
        await self._listed.wait()

    def pods(self) -> tuple[PodView, ...]:
        """All that are known."""
        return tuple(self._view(uid) for uid in tuple(self._versions))

    def pod(self, name: str) -> PodView | None:
        """The latest pod of a name."""
        uid = self._names.get(name)
        return None if uid is None else self._view(uid)

    @asynccontextmanager
    async def changes(self, name: str) -> AsyncGenerator[asyncio.Queue[PodView]]:
        """What becomes of the pods of a name: each view that is new, beginning with what is known now."""
        queue: asyncio.Queue[PodView] = asyncio.Queue()
        listeners = self._waiting.setdefault(name, set())
        listeners.add(queue)
        known = self.pod(name)
        if known is not None:
            queue.put_nowait(known)
        try:
            yield queue
        finally:
            listeners.discard(queue)
            if not listeners:
                self._waiting.pop(name, None)

    async def _follow(self) -> None:
        pause, version = self._first_pause, None
        while True:
            heard_at = self._heard_at
            try:
                version = version or await self._list()
                async for latest in self._watch(version):
                    version = latest
            except Expired:
                version = None
            except ClusterError as error:
                _log.warning("watch_failed", code=error.code, seconds_silent=round(self.silent_for))
                if self._heard_at == heard_at and pause > self._first_pause:  # twice nothing: it may not be readable
                    version = None
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                # No pod as we know it: it must not blind us for good
                _log.exception("watch_broke", error=type(error).__name__)
                version = None
            pause = self._first_pause if self._heard_at > heard_at else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads the load, hides nothing

    async def _list(self) -> str:
        """Take in all pods; those that went meanwhile are told as gone. Returns the version to watch from."""
        found: dict[str, dict[str, Any]] = {}
        query = {**self._selected, "limit": str(PAGE)}
        while True:
            page = await self._cluster.list_page(self._path, query)
            found |= {pod["metadata"]["uid"]: pod for pod in page.get("items") or ()}
            following = page["metadata"].get("continue")
            if not following:
                break
            query = {**query, "continue": following}
        for uid in set(self._versions) - set(found):
            self._forget(self._view(uid))
        for pod in found.values():
            self._learn(pod)
        self._heard_at = self._now()
        self._listed.set()
        return page["metadata"]["resourceVersion"]

    async def _watch(self, version: str) -> AsyncIterator[str]:
        query = {
            **self._selected,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(*WATCH_SECONDS)),  # noqa: S311 - spreads the load, hides nothing
        }
        async for event in self._cluster.watch(self._path, query):
            self._heard_at = self._now()
            pod: dict[str, Any] = event["object"]
            if event["type"] == "DELETED":
                self._forget(view_of(pod))
            elif event["type"] != "BOOKMARK":
                self._learn(pod)
            yield pod["metadata"]["resourceVersion"]

    def _learn(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        metadata.pop("managedFields", None)  # a third of the bytes, and of no use
        uid: str = metadata["uid"]
        known, self._versions[uid] = self._versions.get(uid), metadata["resourceVersion"]
        self._names[metadata["name"]] = uid
        if known != metadata["resourceVersion"]:
            self._views.pop(uid, None)
            self._raw[uid] = pod
            self._tell(metadata["name"], lambda: self._view(uid))

    def _forget(self, pod: PodView) -> None:
        for known in (self._raw, self._views, self._versions):
            known.pop(pod.uid, None)
        if self._names.get(pod.name) == pod.uid:
            del self._names[pod.name]
        self._tell(pod.name, lambda: pod.model_copy(update={"gone": True}))

    def _tell(self, name: str, view: Callable[[], PodView]) -> None:
        for queue in self._waiting.get(name, ()):
            queue.put_nowait(view())

    def _view(self, uid: str) -> PodView:
        if uid not in self._views:
            self._views[uid] = view_of(self._raw.pop(uid))
        return self._views[uid]
