"""Which sandbox runs scripts here: the first that proves itself strong enough, or the one that the operator names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import structlog

from domain.environments import Environment
from domain.errors import PlatformError
from domain.runs import Backend, Isolation, RunPurpose
from sandbox.port import Sandbox
from sandbox.profiles.tables import gives
from worker.settings import WorkerSettings
from worker.start_up import CannotStart

log = structlog.get_logger()


class LocalSandbox(Sandbox, Protocol):
    """A sandbox of this machine."""

    async def probe(self) -> Isolation:
        """How strong a run here is, as observed in a real one. Raises SandboxUnavailable."""
        ...

    async def runs(self) -> tuple[str, ...]:
        """Ids of runs of which something may be alive."""
        ...


Maker = Callable[[Mapping[str, Environment], Path], LocalSandbox]


def _bubblewrap(environments: Mapping[str, Environment], state: Path) -> LocalSandbox:
    from sandbox.bubblewrap import BubblewrapSandbox  # noqa: PLC0415 - who runs no scripts has no backend in memory

    return BubblewrapSandbox(environments, state)


def _landlock(environments: Mapping[str, Environment], state: Path) -> LocalSandbox:
    from sandbox.landlock import LandlockSandbox  # noqa: PLC0415 - likewise

    return LandlockSandbox(environments, state)


def _gvisor(environments: Mapping[str, Environment], state: Path) -> LocalSandbox:
    from sandbox.gvisor import GvisorSandbox  # noqa: PLC0415 - likewise

    return GvisorSandbox(environments, state)


MAKERS: Mapping[Backend, Maker] = {
    Backend.BUBBLEWRAP: _bubblewrap,
    Backend.LANDLOCK: _landlock,
    Backend.GVISOR: _gvisor,
}
"""In the order in which they are tried. gVisor comes last because it adds 180 ms to a run, where bubblewrap adds 5, and
has no record: whoever wants level 3 says so."""


def every_backend(settings: WorkerSettings, environments: Mapping[str, Environment]) -> list[LocalSandbox]:
    """All of this machine, unproven: what another process has started has to be found and killed whatever runs it."""
    return [make(environments, settings.state_dir) for make in MAKERS.values()]


async def chosen(
    settings: WorkerSettings, environments: Mapping[str, Environment], purpose: RunPurpose, minimum: int
) -> LocalSandbox:
    """The first that reaches `minimum` in a real run. Raises CannotStart, which says what is wrong with each."""
    wanted = _wanted(settings.sandbox, purpose)
    refused: list[str] = []
    for backend in wanted:
        make = MAKERS.get(backend)
        if make is None:
            refused.append(f"{backend} does not run on this machine")
            continue
        if purpose is RunPurpose.TRIAL and not gives(backend, "attempts"):
            refused.append(f"{backend.value} records nothing, and so holds no trials")
            continue
        sandbox = make(environments, settings.state_dir)
        try:
            isolation = await sandbox.probe()
        except PlatformError as error:
            log.warning("sandbox_refused", backend=backend.value, code=error.code, evidence=error.evidence)
            refused.append(f"{backend}: {error.message}")
            continue
        if isolation.level >= minimum:
            log.info("sandbox_chosen", backend=backend.value, level=isolation.level, minimum=minimum)
            return sandbox
        refused.append(f"{backend} is level {isolation.level}")
    reasons = "; ".join(refused)
    raise CannotStart(f"No sandbox reaches isolation level {minimum} ({reasons}): run `airlock doctor`.")


def _wanted(asked: str, purpose: RunPurpose) -> list[Backend]:
    """What is tried, in order. Who names gvisor means executions: trials need a record, and are held as by `auto`."""
    if asked == "auto" or (asked == Backend.GVISOR and purpose is RunPurpose.TRIAL):
        return list(MAKERS)
    return [Backend(asked)]
