"""`airlock doctor`: what this machine can offer and why not more, and whether its sandboxes hold."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from cli.environments import make_default
from cli.escapes import Trials, tried_on
from cli.exit_codes import ExitCode
from cli.session import AsJson, Failed, tell
from cli.settings import OperatorSettings, operator_settings
from cli.stack.programs import NoTemporal, find_temporal
from cli.terminal import OUT, print_json, table
from domain.environments import Environment
from domain.errors import EnvironmentUnavailable, SandboxUnavailable
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.gvisor import GvisorSandbox
from sandbox.landlock import LandlockSandbox
from sandbox.local.backend import LocalSandbox
from storage.catalogues import CatalogueError, load_environments

SANDBOXES = (GvisorSandbox, BubblewrapSandbox, LandlockSandbox)
"""The strongest first."""


class Check(NamedTuple):
    """One thing that was looked at."""

    what: str
    good: bool
    says: str


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the hostile scripts that take long.")] = False,
    cluster: Annotated[
        Path | None, typer.Option(help="A cluster file: look at that cluster, not at this machine.")
    ] = None,
    only: Annotated[str, typer.Option(help="Hostile scripts whose name has this in it, as `network/` has.")] = "",
    as_json: AsJson = False,
) -> None:
    """Prove the sandboxes that this machine can offer.

    Looks at the machine, and tries every hostile script of the escape suite on each of them.

    Exit code 5: there is no sandbox here. 8: a sandbox does not hold.
    """
    settings = operator_settings()
    if cluster is not None:
        from cli.cluster_doctor import examine_cluster  # noqa: PLC0415 - the client of Kubernetes takes a second to load

        examine_cluster(cluster, lambda: _environments(settings.environments), as_json=as_json)
        return
    checks, offered = _checks(settings)
    if not as_json:
        OUT.print(table(("", "part", ""), [("yes" if c.good else "no", c.what, c.says) for c in checks]))
    trials = [_tried(sandbox, settings, only, quick=quick) for sandbox in offered]
    if as_json:
        print_json({"checks": [check._asdict() for check in checks], "suite": [each.as_json() for each in trials]})
    else:
        for each in trials:
            OUT.print(each.as_text())
    if not offered:
        raise SystemExit(int(ExitCode.UNAVAILABLE))
    if any(each.failed for each in trials):
        raise SystemExit(int(ExitCode.BREACHED))


def _tried(sandbox: LocalSandbox, settings: OperatorSettings, only: str, *, quick: bool) -> Trials:
    environment = next(iter(load_environments(settings.environments)))
    return asyncio.run(tried_on(sandbox, settings.runs, environment, only, quick=quick))


def _checks(settings: OperatorSettings) -> tuple[list[Check], list[LocalSandbox]]:
    checks = [Check("python", good=True, says=f"{sys.version.split()[0]} at {sys.executable}")]
    try:
        checks.append(Check("temporal", good=True, says=find_temporal()))
    except NoTemporal as error:
        checks.append(Check("temporal", good=False, says=str(error)))
    environments: Mapping[str, Environment] = {}
    try:
        environments = _environments(settings.environments)
        checks.append(Check("environments", good=True, says=", ".join(environments)))
    except (CatalogueError, EnvironmentUnavailable, Failed) as error:
        checks.append(Check("environments", good=False, says=str(error)))
    found = asyncio.run(_sandboxes(environments, settings.runs))
    return [*checks, *(check for check, _ in found)], [sandbox for check, sandbox in found if check.good]


def _environments(directory: Path) -> Mapping[str, Environment]:
    """What is offered here; where nothing is yet, `default` is made."""
    if not list(directory.glob("*.json")):
        tell("Making the environment `default` ...")
        make_default(directory)
    return load_environments(directory)


async def _sandboxes(environments: Mapping[str, Environment], state: Path) -> list[tuple[Check, LocalSandbox]]:
    found: list[tuple[Check, LocalSandbox]] = []
    for backend in SANDBOXES:
        sandbox = backend(environments, state)
        name = f"sandbox {sandbox.backend.value}"
        try:
            isolation = await sandbox.probe()
        except SandboxUnavailable as error:
            says = f"{error.message} {error.evidence}".strip()
            found.append((Check(name, good=False, says=says), sandbox))
            continue
        in_force = ", ".join(control for control, there in isolation.checks.items() if there)
        found.append((Check(name, good=True, says=f"level {isolation.level}: {in_force}"), sandbox))
    return found
