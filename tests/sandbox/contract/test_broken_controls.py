"""A control that is not in force is a refusal that names it, before the script's first line: each of them is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from domain.environments import Environment
from domain.errors import SandboxUnavailable
from domain.runs import Backend, RunRequest
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.controls.wall_spec import WallSpec
from sandbox.gvisor import GvisorSandbox
from sandbox.landlock import LandlockSandbox
from sandbox.local.box import Box
from sandbox.profiles.tables import required_of
from tests.sandbox.contract.breaking import BREAKS, UNBREAKABLE, as_root, in_source
from tests.sandbox.contract.conftest import BACKENDS, Bench, require

pytestmark = pytest.mark.sandbox

POSSIBLE = frozenset({"in_cgroup"})
ALL = [
    pytest.param(backend, control, marks=[pytest.mark.slow] if backend == "gvisor" else [])
    for backend, breaks in BREAKS.items()
    for control in breaks
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_control_has_a_way_to_break_it_or_a_reason_why_there_is_none(backend: str) -> None:
    reasons = {control for of, control in UNBREAKABLE if of == backend}

    assert {*BREAKS[backend], *reasons} == set(required_of(Backend(backend), possible=POSSIBLE))
    assert not reasons & set(BREAKS[backend])


@pytest.fixture
def open_root(state: Path) -> Path:
    """A directory that anybody could write, were there no wall."""
    root = state / "root"
    root.mkdir()
    root.chmod(0o777)
    return root


@pytest.mark.parametrize(("backend", "control"), ALL)
async def test_a_broken_control_is_a_refusal_that_names_it(
    backend: str, control: str, environment: Environment, state: Path, open_root: Path
) -> None:
    broken = BREAKS[backend][control]
    if broken.by_root and not as_root():
        pytest.skip("only root can break it")
    if broken.open_root:
        environment = environment.model_copy(update={"roots": (*environment.roots, str(open_root))})
    await require(BACKENDS[backend]({"default": environment}, state))
    sandbox = BACKENDS[backend]({"default": environment}, state, broken.machine(open_root))

    message = await refused(sandbox, environment)

    named = {control, *broken.also}
    assert control in message
    assert "cannot be had here" in message or set(message.partition("sandbox: ")[2].split(", ")) <= named
    assert await sandbox.runs() == ()


class OpenLandlock(LandlockSandbox):
    """Asks for a wall that lets everything be read."""

    def _wall(self, environment: Environment, request: RunRequest, box: Box) -> WallSpec:
        return opened(super()._wall(environment, request, box))


class OpenBubblewrap(BubblewrapSandbox):
    """The same in a box."""

    def _wall(self, environment: Environment, request: RunRequest, box: Box) -> WallSpec:
        return opened(super()._wall(environment, request, box))


def opened(spec: WallSpec) -> WallSpec:
    spec.exec_roots = (*spec.exec_roots, "/")
    return spec


@pytest.mark.parametrize("kind", [OpenLandlock, OpenBubblewrap])
async def test_a_wall_that_is_asked_to_leave_all_open_is_refused(
    kind: type[OpenLandlock | OpenBubblewrap], environment: Environment, state: Path
) -> None:
    await require(BACKENDS[kind.backend.value]({"default": environment}, state))

    assert "landlock" in await refused(kind({"default": environment}, state), environment)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("runsc") is None, reason="there is no gVisor here")
async def test_a_kernel_whose_log_is_another_s_is_refused(environment: Environment, state: Path) -> None:
    await require(GvisorSandbox({"default": environment}, state))
    foreign = in_source("controls/observation.py", ('_OWN_KERNEL = "gVisor"', '_OWN_KERNEL = "Fuchsia"'))
    sandbox = GvisorSandbox({"default": environment}, state, foreign.machine(state))

    assert "own_kernel" in await refused(sandbox, environment)


async def refused(sandbox: LandlockSandbox | BubblewrapSandbox | GvisorSandbox, environment: Environment) -> str:
    """The words of the refusal, before which nothing had begun."""
    bench = Bench(sandbox, "", "", environment)
    with pytest.raises(SandboxUnavailable) as refusal:
        await bench.run("print('never')")
    assert bench.events == []
    return refusal.value.message
