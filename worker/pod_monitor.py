"""The safety monitor of pods: one view of all pods of a trust class, and of several monitors one that acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import structlog

from activities.clock import now as utc_now
from domain.errors import PlatformError, WorkflowsUnavailable
from domain.evaluation import StopOrder
from domain.metrics import MONITOR_LEADS, PODS_FOREIGN, WATCH_SILENT_SECONDS
from domain.runs import RunPurpose
from sandbox.kubernetes.pod_view import PodView
from sandbox.kubernetes.walls import Wall
from storage.oversight import Oversight, RunOwner
from worker.acts import Acts
from worker.pod_reasons import ACTS, Act, PodSeen, why_to_end_pod
from worker.reasons import STOP_PATIENCE, Reason, evaluation_of
from workflows.metrics import Instruments

WALLS_EVERY = 2.0
"""Seconds between looks at the walls around the pods."""

log = structlog.get_logger()


class Namespace(Protocol):
    """A namespace for scripts, as it is watched."""

    @property
    def seconds_silent(self) -> float:
        """Since its watch has heard anything."""
        ...

    async def pods(self) -> tuple[PodView, ...]:
        """All of its pods. Raises SandboxUnavailable where they are not known."""
        ...

    async def missing_walls(self) -> frozenset[Wall]:
        """Raises SandboxUnavailable."""
        ...

    async def ends_within(self, pod: PodView, seconds: float) -> bool:
        """Whether somebody ends this very pod in time."""
        ...

    async def end(self, pod: PodView) -> None:
        """End this very pod. Raises StopUnconfirmed."""
        ...


class Gateway(Protocol):
    """The workflows, as far as the monitor needs them."""

    async def stop(self, evaluation_id: str, order: StopOrder) -> bool:
        """Signal a stop. False where no workflow is open. Raises WorkflowsUnavailable."""
        ...


class PodMonitor:
    """Looks at every pod of one namespace, and acts where it leads. Acts go on beside the patrols."""

    def __init__(
        self,
        namespace: Namespace,
        purpose: RunPurpose,
        leads: Callable[[], bool],
        oversight: Oversight,
        workflows: Gateway,
        acts: Acts,
        *,
        instruments: Instruments | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._namespace = namespace
        self._purpose = purpose
        self._leads = leads
        self._oversight = oversight
        self._workflows = workflows
        self._acts = acts
        self._instruments = instruments or Instruments()
        self._now = now
        self._seen: dict[str, PodSeen] = {}
        """By uid. A follower remembers too, and so knows at once when it has to lead."""
        self._missing: frozenset[Wall] = frozenset()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._foreign: set[str] = set()

    async def patrol(self) -> None:
        """Look at each pod once, and begin to end those that must not be there."""
        pods = {pod.uid: pod for pod in await self._namespace.pods()}
        self._remember(tuple(pods.values()))
        self._show()
        if not self._leads() or not self._seen:
            return
        owners = await self._oversight.owners(sorted({evaluation_of(seen.run_id) for seen in self._seen.values()}))
        await self._look_for_proofs()
        for uid, seen in self._seen.items():
            owner = owners.get(evaluation_of(seen.run_id))
            reason = why_to_end_pod(pods[uid], seen, owner, self._missing, self._now())
            if reason is not None and not seen.over and uid not in self._under_way:
                self._begin(self._act(pods[uid], seen, reason, owner), uid)

    async def look_at_walls(self) -> None:
        """See which walls around the pods stand. Raises SandboxUnavailable: what is not known is not missing."""
        self._missing = await self._namespace.missing_walls()

    async def settled(self) -> None:
        """Until no act is under way."""
        while self._under_way:
            await asyncio.wait(tuple(self._under_way.values()))

    async def close(self) -> None:
        """Leave what is under way: another monitor begins it anew."""
        for task in tuple(self._under_way.values()):
            task.cancel()
        await self.settled()

    def _remember(self, pods: Sequence[PodView]) -> None:
        known, now = self._seen, self._now()
        self._seen = {pod.uid: known.get(pod.uid) or PodSeen(pod, now) for pod in pods if _is_watched(pod, known)}
        for pod in pods:
            if pod.uid in self._seen:
                self._seen[pod.uid].look(pod, now)
        foreign = {pod.uid: pod for pod in pods if pod.uid not in self._seen}
        for uid in foreign.keys() - self._foreign:
            log.warning("foreign_pod", pod=foreign[uid].name)  # a name is letters, digits, dots and dashes
        self._foreign = set(foreign)

    def _begin(self, act: Coroutine[None, None, None], uid: str) -> None:
        task = self._under_way[uid] = asyncio.create_task(act)
        task.add_done_callback(lambda _: self._under_way.pop(uid))

    async def _look_for_proofs(self) -> None:
        now = self._now()
        asked = {seen.run_id: seen for seen in self._seen.values() if seen.awaits_proof(now)}
        if asked:
            for run_id in await self._oversight.begun_runs(sorted(asked)):
                asked[run_id].proven = True

    async def _act(self, pod: PodView, seen: PodSeen, reason: Reason, owner: RunOwner | None) -> None:
        """See to it that the pod ends. What fails is tried again by the next patrol."""
        try:
            if ACTS[reason] is Act.STOP and await self._stopped(pod, seen, reason, owner):
                return
            await self._namespace.end(pod)
            seen.over = True
        except PlatformError as error:
            await self._acts.failed(seen.run_id, seen, reason, owner, error)
        except Exception as error:  # a defect of ours at one pod must not keep the others alive
            log.exception("act_broke", pod=pod.name, error=type(error).__name__)
        else:
            if not pod.ended:
                await self._acts.ended(seen.run_id, seen, reason, owner)

    async def _stopped(self, pod: PodView, seen: PodSeen, reason: Reason, owner: RunOwner | None) -> bool:
        """Whether a stop that was signalled is acted on in time. Nobody waits where there is nobody to signal to."""
        patience = STOP_PATIENCE.total_seconds()
        began = asyncio.get_running_loop().time()
        with suppress(WorkflowsUnavailable, TimeoutError):
            async with asyncio.timeout(patience):
                order = StopOrder(reason=reason, by="monitor")
                if owner is None or not await self._workflows.stop(evaluation_of(seen.run_id), order):
                    return False
                await self._acts.ordered(seen.run_id, seen, reason, owner)
        left = patience - (asyncio.get_running_loop().time() - began)
        return await self._namespace.ends_within(pod, max(0.0, left))

    def _show(self) -> None:
        purpose = self._purpose.value
        self._instruments.put(MONITOR_LEADS, float(self._leads()))
        self._instruments.put(PODS_FOREIGN, float(len(self._foreign)), purpose=purpose)
        self._instruments.put(WATCH_SILENT_SECONDS, self._namespace.seconds_silent, purpose=purpose)


def _is_watched(pod: PodView, known: dict[str, PodSeen]) -> bool:
    """Airlock's own, also where it has lost its label."""
    return pod.is_ours or pod.uid in known
