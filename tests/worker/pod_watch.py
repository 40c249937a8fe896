"""A monitor at work on real pods whose worker is dead, and what it is told of and tells."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain.journal import EntryKind
from domain.lifecycle import Status
from domain.runs import RunPurpose, RunRequest
from sandbox.kubernetes.manifest import (
    ANNOTATION_LASTING,
    DEADLINE_SLACK_SECONDS,
    lasting_sha256,
    manifest,
    pod_name,
)
from storage.evaluations import Evaluations
from storage.journal import Journal
from tests.builders import an_evaluation
from tests.sandbox.kubernetes.world import World
from tests.storage.rows import bring
from tests.worker.test_pod_monitor import Signals
from worker.pod_monitor import PodMonitor
from worker.reasons import Reason

Change = Callable[[dict[str, Any]], object]
WITHIN = 180.0
"""Seconds after which a test gives up. None depends on how long anything takes."""
DEADLINE = 250
"""Seconds that a pod may live."""


@dataclass
class Watch:
    """A monitor at work on a namespace, and what it is told of and tells."""

    world: World
    namespace: str
    evaluations: Evaluations
    journal: Journal
    signals: Signals
    monitor: PodMonitor

    async def begun(self, *, owned: bool = True, runs: bool = True, change: Change | None = None) -> str:
        """A run whose pod is there, and whose worker is not. Returns the evaluation's id.

        `runs`: its container is waited for. A pod that the monitor ends at once may be gone before anybody sees it run.
        """
        name = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=12))
        evaluation_id = an_evaluation(name).evaluation_id
        if owned:
            await bring(self.evaluations, Status.VALIDATED, name)
            run_id, now = f"{evaluation_id}-execution", datetime.now(UTC)
            assert await self.evaluations.begin_execution(evaluation_id, run_id, "elsewhere", now)
        await asyncio.to_thread(self.create, evaluation_id, change)
        if runs:
            await asyncio.to_thread(self.until, lambda: self.state(evaluation_id).startswith("Running"))
        return evaluation_id

    def create(self, evaluation_id: str, change: Change | None = None) -> None:
        pod = manifest(
            RunRequest(
                run_id=f"{evaluation_id}-execution",
                purpose=RunPurpose.EXECUTION,
                script=b"",
                model_id="m",
                environment="default",
                timeout_seconds=DEADLINE - DEADLINE_SLACK_SECONDS,
            ),
            self.world.placement(self.namespace),
            "attempt",
            datetime.now(UTC),
        )
        if change is not None:
            change(pod)
            pod["metadata"]["annotations"][ANNOTATION_LASTING] = lasting_sha256(pod["spec"])
        made = self.world.kubectl("create", "-n", self.namespace, "-f", "-", given=pod)
        assert made.returncode == 0, made.stderr

    def state(self, evaluation_id: str) -> str:
        """Its phase and when it was deleted; empty where it is not there."""
        path = "jsonpath={.status.phase} {.metadata.deletionTimestamp}"
        name = pod_name(f"{evaluation_id}-execution")
        there = self.world.kubectl("get", "pod", "-n", self.namespace, name, "--ignore-not-found", "-o", path)
        return there.stdout.strip()

    async def gone(self, evaluation_id: str) -> None:
        """Until its pod is, and the monitor has told of it."""
        await asyncio.to_thread(self.until, lambda: not self.state(evaluation_id))
        await asyncio.wait_for(self.monitor.settled(), WITHIN)

    @staticmethod
    def until(is_so: Callable[[], bool]) -> None:
        last = time.monotonic() + WITHIN
        while not is_so():
            assert time.monotonic() < last
            time.sleep(0.2)

    async def change(self, *words: str, given: Any = None) -> None:
        done = await asyncio.to_thread(self.world.kubectl, *words, "-n", self.namespace, given=given)
        assert done.returncode == 0, done.stderr

    async def told(self, evaluation_id: str) -> list[str]:
        entries = await self.journal.read(evaluation_id, kinds=frozenset({EntryKind.LOG}))
        return [str(entry.payload["text"]) for entry in entries]


def both(reason: Reason) -> list[str]:
    return [f"{reason}: a stop was ordered by the monitor", f"{reason}: it was ended by the monitor"]
