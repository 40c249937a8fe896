"""One run in its pod, from the order to the evidence: the stream tells early what came of it, the pod's state late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from domain.errors import NodeLost
from domain.outcomes import RunOutcome
from sandbox.conversation import Conversation
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.diagnosis import Cause, Diagnosis, diagnose
from sandbox.kubernetes.pod_start import ended, next_view
from sandbox.kubernetes.pod_stream import PodStream
from sandbox.kubernetes.pod_view import PodView
from sandbox.receipt import Evidence

REPORTS_WITHIN = 0.1
"""Seconds that a stopped runner has to kill the script and tell what there was; after that the pod is deleted."""
OVERDUE_AFTER = 10.0
"""Seconds beyond the wall-clock time before the pod is deleted: its runner should have ended the script."""
FOLLOW_EVERY = 10.0
"""Seconds of silence before the cluster is asked about a running pod: its stream tells more, and sooner."""
FATE_WITHIN = 15.0
"""Seconds between a receipt and the pod's own word; the kubelet looks once a second."""


class PodRun:
    """Watches one started pod until nothing of it runs."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        pod: PodView,
        changes: asyncio.Queue[PodView],
        stream: PodStream,
        conversation: Conversation,
        is_decided: Callable[[], bool],
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._changes = changes
        self._stream = stream
        self._conversation = conversation
        self._is_decided = is_decided
        self._told = asyncio.Event()
        self._ours = False
        """Whether it was us who deleted the pod."""
        self.pod = pod

    async def to_its_end(self, timeout_seconds: float, stop: asyncio.Event) -> Evidence:
        """Until it has ended, is stopped, or is overdue. Raises NodeLost, StopUnconfirmed and what a watcher raises."""
        carrying = asyncio.create_task(self._stream.carry(self._receive, self._conversation.reconnected))
        following = asyncio.create_task(self._follow())
        stopping = asyncio.create_task(stop.wait())
        telling = asyncio.create_task(self._told.wait())
        tasks = {carrying, following, stopping, telling}
        try:
            patience = timeout_seconds + OVERDUE_AFTER
            await asyncio.wait(tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if carrying.done():
                carrying.result()
            evidence = Evidence()
            if not (telling.done() or following.done() or carrying.done()):
                evidence = await (self._stopped(telling) if stopping.done() else self._overdue())
            await self._see_its_fate(following)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if self._conversation.receipt is None and not evidence.stopped:
            await self._stream.from_log(self._receive)
        return self._with_fate(evidence)

    async def _receive(self, data: bytes) -> None:
        await self._conversation.received(data)
        if self._conversation.receipt is not None:
            self._told.set()

    async def _stopped(self, telling: asyncio.Task[bool]) -> Evidence:
        """Ask the runner, who kills at once and tells what there was; then SIGTERM, which it obeys in some 30 ms.

        It stays until then: a kubelet that finds it gone before it is told to end the pod takes a second longer.
        """
        if self._conversation.began is not None:
            self._conversation.stop(stays=True)
            await asyncio.wait({telling}, timeout=REPORTS_WITHIN)
        await self._delete()
        return Evidence(stopped=True)

    async def _overdue(self) -> Evidence:
        """Raises NodeLost where nobody can tell whether it still runs."""
        diagnosis = diagnose(self.pod)
        if diagnosis is not None and diagnosis.cause is Cause.NODE_LOST:
            raise NodeLost("the node of the run does not answer", diagnosis.words)
        await self._delete()
        return Evidence(overdue=True)

    async def _follow(self) -> None:
        while not self.pod.ended:
            self.pod = await next_view(self._cluster, self._namespace, self.pod, self._changes, FOLLOW_EVERY)

    async def _see_its_fate(self, following: asyncio.Task[None]) -> None:
        """The container's end, by which every process is dead. A runner that lingers is ended.

        Nobody waits for it where the receipt says it all: the kubelet looks only once a second.
        """
        if self._is_decided():
            return
        await asyncio.wait({following}, timeout=FATE_WITHIN)
        if not following.done():
            await self._delete()

    async def _delete(self) -> None:
        self._ours = True
        await ended(self._cluster, self._namespace, self.pod)

    def _with_fate(self, evidence: Evidence) -> Evidence:
        """What the cluster saw. A deletion that was neither ours nor its own was ordered from another process."""
        outcome = None if self.fate is None else self.fate.outcome
        displaced = self.fate is not None and self.fate.cause is Cause.DISPLACED
        removed = (self.pod.deleting or self.pod.gone) and not self._ours and not displaced
        return evidence.model_copy(
            update={
                "out_of_memory": outcome is RunOutcome.MEMORY_LIMIT,
                "overdue": evidence.overdue or outcome is RunOutcome.TIMED_OUT,
                "killed": removed,
            }
        )

    @property
    def fate(self) -> Diagnosis | None:
        """What the cluster says became of the pod."""
        return diagnose(self.pod)
