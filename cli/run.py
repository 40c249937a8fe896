"""`airlock run`: one script in the sandbox of this machine, with a model that is made up, and without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.environments import make_default
from cli.exit_codes import ExitCode
from cli.presentation import run_report
from cli.session import AsJson, Failed, tell
from cli.settings import OperatorSettings, operator_settings, passed_on
from cli.terminal import OUT, print_json

GRACE = 60
"""Seconds beyond the script's own timeout."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    script: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file.")],
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="The model id that the mock answers for.")] = "mock",
    environment: Annotated[str, typer.Option(help="What it may import.")] = "default",
    timeout: Annotated[int, typer.Option(min=1, max=3600, help="Seconds of wall clock.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Run one script as a trial would, and show its result, what it tried, and how it was isolated."""
    settings = operator_settings()
    if environment == "default":
        make_default(settings.environments)
    tell(f"Running {script} ...")
    report = _report(settings, script, ("--model", model, "--environment", environment, "--timeout", str(timeout)))
    print_json(report) if as_json else OUT.print(run_report(report))
    if report["outcome"] != "completed":
        raise SystemExit(int(ExitCode.NOT_COMPLETED))


def _report(settings: OperatorSettings, script: Path, options: tuple[str, ...]) -> dict[str, object]:
    """What a worker process says of it: whoever speaks to a person runs nothing untrusted."""
    own = {
        "AIRLOCK_ENVIRONMENTS_DIR": str(settings.environments),
        "AIRLOCK_STATE_DIR": str(settings.runs),
        "AIRLOCK_SANDBOX": settings.sandbox,
    }
    done = subprocess.run(  # noqa: S603 - our own module
        (sys.executable, "-I", "-m", "worker.single_run", *options),
        input=script.read_bytes(),
        capture_output=True,
        umask=0o022,  # its scratch space is below directories that the run's user goes through
        env=passed_on() | own,
        timeout=float(options[-1]) + GRACE,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(done.stderr.decode(errors="replace").strip()[-600:] or "The run failed.", ExitCode.UNAVAILABLE)
    return json.loads(done.stdout)
