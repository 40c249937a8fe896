"""`airlock doctor`: what this machine can offer, and why not more."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import typer

from cli.exit_codes import ExitCode
from cli.session import AsJson
from cli.settings import OperatorSettings, operator_settings
from cli.stack.programs import NoTemporal, find_temporal
from cli.terminal import OUT, print_json, table
from domain.environments import Environment
from domain.errors import SandboxUnavailable
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.landlock import LandlockSandbox
from storage.catalogues import CatalogueError, load_environments


class Check(NamedTuple):
    """One thing that was looked at."""

    what: str
    good: bool
    says: str


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(*, as_json: AsJson = False) -> None:
    """Look at this machine: Python, Temporal, the environments, and which sandboxes prove themselves here."""
    checks = _checks(operator_settings())
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        OUT.print(table(("", "part", ""), [("yes" if c.good else "no", c.what, c.says) for c in checks]))
    sandboxes = [check for check in checks if check.what.startswith("sandbox")]
    if not any(check.good for check in sandboxes):
        raise SystemExit(int(ExitCode.UNAVAILABLE))


def _checks(settings: OperatorSettings) -> list[Check]:
    checks = [Check("python", good=True, says=f"{sys.version.split()[0]} at {sys.executable}")]
    try:
        checks.append(Check("temporal", good=True, says=find_temporal()))
    except NoTemporal as error:
        checks.append(Check("temporal", good=False, says=str(error)))
    environments: Mapping[str, Environment] = {}
    try:
        environments = load_environments(settings.environments)
        checks.append(Check("environments", good=True, says=", ".join(environments)))
    except CatalogueError as error:
        checks.append(Check("environments", good=False, says=f"{error} `airlock up` makes `default`."))
    return checks + asyncio.run(_sandboxes(environments, settings.runs))


async def _sandboxes(environments: Mapping[str, Environment], state: Path) -> list[Check]:
    checks: list[Check] = []
    for backend in (BubblewrapSandbox, LandlockSandbox):
        sandbox = backend(environments, state)
        name = f"sandbox {sandbox.backend.value}"
        try:
            isolation = await sandbox.probe()
        except SandboxUnavailable as error:
            checks.append(Check(name, good=False, says=f"{error.message} {error.evidence}".strip()))
            continue
        in_force = ", ".join(control for control, there in isolation.checks.items() if there)
        checks.append(Check(name, good=True, says=f"level {isolation.level}: {in_force}"))
    return checks
