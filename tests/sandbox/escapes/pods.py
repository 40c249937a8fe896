"""The escape suite on pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from domain.runs import RunRequest
from sandbox.escape_suite import EscapeSuite
from sandbox.host_canaries import HostCanaries
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.manifest import Placement, run_uid
from sandbox.kubernetes.telemetry import refused_by_runtime
from sandbox.local.residue import left_by_user, processes_of_seed
from tests.sandbox.conftest import GONE_WITHIN
from tests.sandbox.kubernetes.world import ENVIRONMENTS


@asynccontextmanager
async def suite_of_pods(request: pytest.FixtureRequest, canaries: HostCanaries) -> AsyncGenerator[EscapeSuite]:
    """In the namespace of this session. Skips, or fails, where there is no cluster."""
    world, namespace = request.getfixturevalue("pods")
    placement = world.placement(namespace)
    async with KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox:
        leftovers = PodResidue(sandbox, placement)
        yield EscapeSuite(sandbox, leftovers, "default", canaries, unrecorded=refused_by_runtime())


class PodResidue:
    """What runs leave on the cluster, and on this machine, which is its node."""

    def __init__(self, sandbox: KubernetesSandbox, placement: Placement) -> None:
        self._sandbox = sandbox
        self._placement = placement

    def remember(self, run_id: str) -> None:
        """The name and the user of a run follow from its id."""

    async def of(self, request: RunRequest) -> tuple[str, ...]:
        left = tuple(processes_of_seed(request.seed))
        with suppress(TimeoutError):
            async with asyncio.timeout(GONE_WITHIN):
                while request.run_id in await self._sandbox.runs():  # noqa: ASYNC110 - the watch tells the sandbox alone
                    await asyncio.sleep(0.2)
                user = run_uid(request.run_id, self._placement)  # its pod's pause has it too, until the pod is gone
                return (*left, *left_by_user(user))
        return (*left, "its pod is left")
