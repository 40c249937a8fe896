"""What all sandboxes of this machine have in common: a run from its order to its report, and its end from anywhere."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from domain.decoys import decoys_for
from domain.environments import Environment
from domain.errors import EnvironmentUnavailable, SandboxUnavailable
from domain.model_calls import ModelAnswer, ModelAnswerer, ModelErrorKind, ModelRequest
from domain.runs import Backend, Isolation, RunPurpose, RunReport, RunRequest, Usage
from sandbox.box.order import Order
from sandbox.code_pack import compiled_by
from sandbox.controls.kernel import ControlUnavailable, require_platform
from sandbox.controls.wall_spec import WallSpec
from sandbox.conversation import Conversation
from sandbox.local.cgroups import RunCgroup, make_cgroup
from sandbox.local.launched import Launched, end, end_marked, launch
from sandbox.local.markers import RunMarker, RunMarkers, started_at, this_process
from sandbox.local.run_uid import leased_uid
from sandbox.local.scratch import remove_tree
from sandbox.port import RunEvent, RunWatcher
from sandbox.receipt import Evidence, end_of

BEGUN_WITHIN = 30.0
"""Seconds from the start of the sandbox to the script's first line, on a machine that is very busy."""
OVERDUE_AFTER = 3.0
"""Seconds beyond the wall-clock time before the run is ended from outside: its runner should have done it."""
REPORTS_WITHIN = 0.15
"""Seconds that a stopped runner has to kill the script and tell what there was; after that all are killed."""


@dataclass
class Box:
    """What one run has of this machine."""

    uid: int | None
    cgroup: RunCgroup | None
    scratch: Path | None = None
    launched: Launched | None = None


class LocalSandbox(ABC):
    """Implements the port; what a backend adds is how it starts, and which wall it asks for."""

    backend: ClassVar[Backend]
    level: ClassVar[int]
    tells_child: ClassVar[bool]

    def __init__(self, environments: Mapping[str, Environment], state: Path) -> None:
        """`state` is a private directory of this machine, the same for all its workers."""
        self._environments = environments
        self._state = state
        self._markers = RunMarkers(state / self.backend.value)
        self._packs: dict[str, bytes] = {}

    @abstractmethod
    def _command(self, environment: Environment, request: RunRequest, box: Box) -> Sequence[str]:
        """What is started. Raises SandboxUnavailable."""

    @abstractmethod
    def _wall(self, environment: Environment, request: RunRequest, box: Box) -> WallSpec:
        """The inner wall that is asked for."""

    @abstractmethod
    def _place(self, request: RunRequest, uid: int | None) -> Path | None:
        """The scratch directory of a run, made, where it needs one outside. Raises SandboxUnavailable."""

    async def run(
        self, request: RunRequest, *, answer: ModelAnswerer, watch: RunWatcher, stop: asyncio.Event
    ) -> RunReport:
        """Run the script; see the port."""
        _check_platform()
        environment = self._environments.get(request.environment)
        if environment is None:
            raise EnvironmentUnavailable(f"the environment {request.environment!r} is not configured here")
        await self._clear_away(request.run_id)
        with self._box(request) as box:
            pack = await self._pack(environment.python, box.uid)
            try:
                return await self._run(environment, request, box, pack, answer, watch, stop)
            finally:
                await _to_its_end(self._leave(request.run_id, box))

    async def kill(self, run_id: str) -> bool:
        """End what is left of a run; see the port."""
        marker = self._markers.read(run_id)
        if marker is None:
            return False
        alive = marker.alive
        self._markers.order_kill(run_id)
        cgroup = RunCgroup(tuple(map(Path, marker.cgroups))) if marker.cgroups else None
        await end_marked(marker, cgroup)
        if not marker.worker_alive:  # otherwise its worker is about to do so, and has to find the order
            self._forget(marker, cgroup)
        return alive

    async def runs(self) -> tuple[str, ...]:
        """The runs of which something may be alive on this machine."""
        return self._markers.run_ids()

    async def probe(self) -> Isolation:
        """What a run gets here, found out by one. Raises SandboxUnavailable with a sentence for the operator."""
        if not self._environments:
            raise SandboxUnavailable("No environment is configured, so nothing can be run.")
        request = RunRequest(
            run_id=f"probe-{secrets.token_hex(8)}",
            purpose=RunPurpose.TRIAL,
            script=b"",
            model_id="mock",
            environment=next(iter(self._environments)),
            timeout_seconds=10,
        )
        report = await self.run(request, answer=_no_model, watch=_nobody, stop=asyncio.Event())
        return report.isolation

    @contextmanager
    def _box(self, request: RunRequest) -> Generator[Box]:
        name = hashlib.sha256(f"{self._state}{request.run_id}{os.getpid()}".encode()).hexdigest()[:20]
        with leased_uid() as uid:
            cgroup = make_cgroup(name, request.limits.memory_bytes, request.limits.processes)
            box = Box(uid, cgroup)
            try:
                box.scratch = self._place(request, uid)
                yield box
            finally:
                if cgroup is not None:
                    cgroup.remove()
                if box.scratch is not None:
                    remove_tree(box.scratch)

    async def _pack(self, python: str, uid: int | None) -> bytes:
        if python not in self._packs:
            self._packs[python] = await compiled_by(python, uid)
        return self._packs[python]

    async def _run(
        self,
        environment: Environment,
        request: RunRequest,
        box: Box,
        pack: bytes,
        answer: ModelAnswerer,
        watch: RunWatcher,
        stop: asyncio.Event,
    ) -> RunReport:
        order = self._order(environment, request, box)
        launched = await launch(self._command(environment, request, box), box.uid, tells_child=self.tells_child)
        box.launched = launched
        self._markers.write(_marker(request.run_id, box, launched))
        if box.cgroup is not None:
            _join(box.cgroup, launched.runner)
        conversation = Conversation(
            order, partial(self._isolation, box), send=launched.send, answer=answer, watch=watch
        )
        launched.send(pack)
        conversation.begin()
        try:
            evidence = await _converse(launched, conversation, request.timeout_seconds, stop)
        finally:
            await conversation.close()
        await end(launched, box.cgroup)
        if conversation.began is None and not evidence.stopped and not self._markers.kill_ordered(request.run_id):
            raise SandboxUnavailable("the sandbox ended before the script could begin", launched.complaint)
        return self._report(request, box, conversation, evidence)

    def _order(self, environment: Environment, request: RunRequest, box: Box) -> Order:
        limits = request.limits
        wall = self._wall(environment, request, box)
        return Order(
            key=secrets.token_hex(32),
            script=request.script.decode("latin-1"),
            task={"params": request.params, "seed": request.seed, "model_id": request.model_id},
            wall=wall.to_json(),
            python=environment.python,
            scratch=wall.write_roots[0],
            timeout=request.timeout_seconds,
            output_bytes=limits.output_bytes,
            result_bytes=limits.result_bytes,
            parallel=request.parallel,
            decoys=dict(decoys_for(request.script).environment),
            resident_bytes=None if box.cgroup else limits.memory_bytes,
            scratch_bytes=limits.disk_bytes if box.scratch or not box.cgroup else None,
            guarded=not self.tells_child,
        )

    def _isolation(self, box: Box, checks: dict[str, bool], details: dict[str, str]) -> Isolation:
        bounds = box.cgroup.name if box.cgroup else "rlimits, and the runner looks every 50 ms"
        more = {"memory_bounded_by": bounds, "own_uid": str(box.uid is not None).lower()}
        return Isolation(backend=self.backend, level=self.level, checks=checks, details={**details, **more})

    def _report(self, request: RunRequest, box: Box, conversation: Conversation, evidence: Evidence) -> RunReport:
        if self._markers.kill_ordered(request.run_id):
            evidence = evidence.model_copy(update={"killed": True})
        seen = box.cgroup.evidence() if box.cgroup else Evidence()
        evidence = evidence.model_copy(update=seen.model_dump(include={"out_of_memory", "processes_refused"}))
        receipt, began, limits = conversation.receipt, conversation.began, request.limits
        ended = end_of(receipt, conversation.words, conversation.result, evidence, limits.model_dump())
        peak = box.cgroup.peak_bytes() if box.cgroup else 0
        usage = Usage() if receipt is None else Usage(
            wall_ms=receipt.wall_ms,
            cpu_ms=receipt.cpu_ms,
            peak_memory_bytes=peak or receipt.peak_memory_bytes,
            output_bytes=receipt.output_bytes,
            output_truncated=receipt.output_truncated,
        )  # fmt: skip
        return RunReport(
            run_id=request.run_id,
            outcome=ended.outcome,
            exit_code=receipt.exit_code if receipt else None,
            signal=receipt.signal if receipt else None,
            reached_script=receipt.started if receipt else began is not None,
            message=ended.message,
            traceback=ended.traceback,
            has_result=ended.has_result,
            result=ended.result,
            isolation=began.isolation if began else Isolation(backend=self.backend, level=0),
            record=conversation.record,
            usage=usage,
            environment_digest=began.environment_digest if began else None,
            receipt=receipt is not None,
        )

    async def _clear_away(self, run_id: str) -> None:
        """A marker from before means a worker that died. Raises SandboxUnavailable where it lives."""
        marker = self._markers.read(run_id)
        if marker is None:
            return
        if marker.worker_alive and marker.alive:
            raise SandboxUnavailable("a run of the same name is still under way on this machine")
        await self.kill(run_id)
        self._markers.remove(run_id)

    async def _leave(self, run_id: str, box: Box) -> None:
        try:
            if box.launched is not None:
                await end(box.launched, box.cgroup)
        finally:
            self._markers.remove(run_id)

    def _forget(self, marker: RunMarker, cgroup: RunCgroup | None) -> None:
        if cgroup is not None:
            cgroup.remove()
        if marker.scratch is not None:
            remove_tree(Path(marker.scratch))
        self._markers.remove(marker.run_id)


async def _converse(
    launched: Launched, conversation: Conversation, timeout_seconds: float, stop: asyncio.Event
) -> Evidence:
    """Until the runner has said everything, is stopped, or is overdue."""
    hearing = asyncio.create_task(_hear(launched, conversation))
    stopping = asyncio.create_task(stop.wait())
    try:
        patience = BEGUN_WITHIN + timeout_seconds + OVERDUE_AFTER
        await asyncio.wait({hearing, stopping}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if hearing.done():
            await hearing
            return Evidence()
        if not stopping.done():
            return Evidence(overdue=True)
        if conversation.began is not None:
            conversation.stop()
            await asyncio.wait({hearing}, timeout=REPORTS_WITHIN)
        return Evidence(stopped=True)
    finally:
        for task in (hearing, stopping):
            task.cancel()
        await asyncio.wait({hearing, stopping})


async def _hear(launched: Launched, conversation: Conversation) -> None:
    while conversation.receipt is None and (data := await launched.read()):
        await conversation.received(data)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Clean up whole, even where whoever waits is cancelled once more."""
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
            if task.cancelled():
                break
    if cancelled:
        with suppress(Exception):
            task.result()
        raise asyncio.CancelledError
    task.result()


def _check_platform() -> None:
    try:
        require_platform()
    except ControlUnavailable as error:
        raise SandboxUnavailable(str(error)) from error


def _join(cgroup: RunCgroup, runner: int) -> None:
    try:
        cgroup.add(runner)
    except OSError as error:
        raise SandboxUnavailable(f"the run could not be put into its control group: {error.strerror}") from error


def _marker(run_id: str, box: Box, launched: Launched) -> RunMarker:
    worker, worker_started = this_process()
    return RunMarker(
        run_id=run_id,
        worker=worker,
        worker_started=worker_started,
        launcher=launched.launcher,
        launcher_started=started_at(launched.launcher),
        runner=launched.runner,
        runner_started=started_at(launched.runner),
        uid=box.uid,
        cgroups=tuple(map(str, box.cgroup.directories)) if box.cgroup else (),
        scratch=str(box.scratch) if box.scratch else None,
    )


async def _no_model(request: ModelRequest) -> ModelAnswer:
    return ModelAnswer(call=request.call, error=ModelErrorKind.UNAVAILABLE, message="there is no model in a probe")


async def _nobody(_: RunEvent) -> None:
    return None
