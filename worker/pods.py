"""Sandboxes on a cluster, for the worker that is pointed at one. It has all the rights it needs, or does not start."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from domain.environments import Environment
from domain.errors import PlatformError
from domain.runs import RunPurpose
from sandbox.kubernetes.access import missing_to_end, missing_to_run
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.cluster_errors import ClusterError
from sandbox.kubernetes.manifest import SELECTOR, Placement
from sandbox.kubernetes.reflector import Reflector
from worker.start_up import CannotStart

log = structlog.get_logger()


class ClusterFile(BaseModel):
    """A cluster, as the operator describes it: one placement per trust class, and how to get there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kubeconfig: Path | None = None
    """None: the cluster that this process runs in."""
    trials: Placement
    executions: Placement


def read_cluster_file(file: Path | None) -> ClusterFile:
    """Raises CannotStart."""
    if file is None:
        raise CannotStart("AIRLOCK_SANDBOX is kubernetes, so AIRLOCK_CLUSTER_FILE must name a cluster.")
    try:
        return ClusterFile.model_validate(tomllib.loads(file.read_text("utf-8")))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(each) for each in problem["loc"])
        raise CannotStart(f"The cluster file {file} is not valid: {where}: {problem['msg']}.") from error
    except (OSError, ValueError) as error:
        raise CannotStart(f"The cluster file {file} cannot be read: {error}.") from error


async def running_sandbox(
    file: Path | None,
    purpose: RunPurpose,
    minimum: int,
    environments: Mapping[str, Environment],
    lifetimes: AsyncExitStack,
) -> KubernetesSandbox:
    """The sandbox of one trust class, proven by a real pod. Raises CannotStart, which names each missing right."""
    described = read_cluster_file(file)
    placement = described.trials if purpose is RunPurpose.TRIAL else described.executions
    try:
        cluster = await lifetimes.enter_async_context(Cluster.connect(described.kubeconfig))
        _require(await missing_to_run(cluster, placement.namespace))
        sandbox = await _followed(cluster, placement, environments, lifetimes)
        isolation = await sandbox.probe()
    except ClusterError as error:
        raise CannotStart(f"The cluster cannot be used: {error.words}.") from error
    except PlatformError as error:
        raise CannotStart(f"A pod on the cluster did not prove itself: {error.message}. {error.evidence}") from error
    if isolation.level < minimum:
        raise CannotStart(f"Pods reach isolation level {isolation.level} there, and {minimum} is demanded.")
    log.info("sandbox_chosen", backend="kubernetes", level=isolation.level, minimum=minimum)
    return sandbox


async def watched_sandboxes(file: Path | None, lifetimes: AsyncExitStack) -> list[KubernetesSandbox]:
    """Both trust classes, for the monitor, which starts nothing. Raises CannotStart."""
    described = read_cluster_file(file)
    try:
        cluster = await lifetimes.enter_async_context(Cluster.connect(described.kubeconfig))
        placements = (described.trials, described.executions)
        for placement in placements:
            _require(await missing_to_end(cluster, placement.namespace))
        return [await _followed(cluster, placement, {}, lifetimes) for placement in placements]
    except ClusterError as error:
        raise CannotStart(f"The cluster cannot be used: {error.words}.") from error


async def _followed(
    cluster: Cluster, placement: Placement, environments: Mapping[str, Environment], lifetimes: AsyncExitStack
) -> KubernetesSandbox:
    reflector = Reflector(cluster, placement.namespace, SELECTOR)
    await lifetimes.enter_async_context(reflector.running())
    return KubernetesSandbox(cluster, reflector, placement, environments)


def _require(missing: tuple[str, ...]) -> None:
    if missing:
        raise CannotStart(f"This user may not {', '.join(missing)}: apply deploy/kubernetes, or use its accounts.")
