"""What a run in a pod is ordered to be, and what its report says: pure."""

from __future__ import annotations

import secrets

from domain.decoys import decoys_for
from domain.runs import Backend, RunPurpose, RunReport, RunRequest
from sandbox.box.order import Order
from sandbox.controls.wall_spec import WallSpec
from sandbox.conversation import Conversation
from sandbox.kubernetes.diagnosis import Diagnosis
from sandbox.kubernetes.manifest import PodImage
from sandbox.local.places import SYSTEM_FILES, SYSTEM_ROOTS, THIEVES_LOOK_FOR, beyond_system
from sandbox.profiles.tables import required_of
from sandbox.receipt import Evidence
from sandbox.run_end import RunEnd, end_of
from sandbox.run_report import report_on

LEVEL = 2
"""Namespaces and the inner wall on the node's kernel. What would be more cannot be observed from inside yet."""
SCRATCH = "/tmp"  # noqa: S108 - a file system of the run's own
RUNNER_TASKS = 3
"""Of the run's uid, besides the script's."""


def wall_for(request: RunRequest, image: PodImage, doors: tuple[str, ...] = ()) -> WallSpec:
    """The inner wall that is asked for."""
    limits = request.limits
    return WallSpec(
        require=required_of(Backend.KUBERNETES),
        exec_roots=(*SYSTEM_ROOTS, *beyond_system(image.roots)),
        write_roots=(SCRATCH,),
        read_files=(*SYSTEM_FILES,),
        noted=THIEVES_LOOK_FOR,
        cpu_seconds=limits.cpu_seconds,
        processes=limits.processes,
        tasks=limits.processes + RUNNER_TASKS,
        open_files=limits.open_files,
        file_bytes=limits.disk_bytes,
        recorded=request.purpose is RunPurpose.TRIAL,
        doors=doors,
    )


def order_for(request: RunRequest, image: PodImage, wall: WallSpec) -> Order:
    """The order, with a key that nobody else will ever have."""
    limits, decoys = request.limits, decoys_for(request.script)
    return Order(
        key=secrets.token_hex(32),
        script=request.script.decode("latin-1"),
        task={"params": request.params, "seed": request.seed, "model_id": request.model_id},
        wall=wall.to_json(),
        python=image.python,
        scratch=SCRATCH,
        timeout=request.timeout_seconds,
        output_bytes=limits.output_bytes,
        result_bytes=limits.result_bytes,
        parallel=request.parallel,
        decoys=dict(decoys.environment),
        decoy_files=dict(decoys.files),
        resident_bytes=limits.memory_bytes,  # the pod's own limit has room for runner and scratch on top
    )


def is_decided(request: RunRequest, conversation: Conversation) -> bool:
    """Whether there is a receipt, and nothing that the cluster may still tell would change how the run ended.

    A receipt is made after every process of the script is dead.
    """
    if conversation.receipt is None:
        return False
    ends = (_end(request, conversation, Evidence(out_of_memory=killed), None) for killed in (False, True))
    return len({end.outcome for end in ends}) == 1


def report_of(
    request: RunRequest, conversation: Conversation | None, evidence: Evidence, fate: Diagnosis | None
) -> RunReport:
    """The report. `fate` is given where the cluster's word replaces a receipt. Raises RunnerLost."""
    return report_on(request, Backend.KUBERNETES, conversation, _end(request, conversation, evidence, fate))


def _end(request: RunRequest, conversation: Conversation | None, evidence: Evidence, fate: Diagnosis | None) -> RunEnd:
    if fate is not None and fate.outcome is not None:
        return RunEnd(outcome=fate.outcome, message=fate.words)
    limits = request.limits.model_dump()
    if conversation is None:
        return end_of(None, None, None, evidence, limits)
    return end_of(conversation.receipt, conversation.words, conversation.result, evidence, limits)
