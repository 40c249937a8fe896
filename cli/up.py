"""`airlock up`: the embedded stack, until somebody stops it."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cli.exit_codes import ExitCode
from cli.session import Failed, tell
from cli.settings import operator_settings
from cli.stack.child import NotReady
from cli.stack.embedded import NoRoom, Running, embedded_stack
from cli.stack.interruption import run_until_stopped
from cli.stack.occupancy import AlreadyUp
from cli.stack.programs import NoTemporal
from cli.terminal import OUT
from storage.database import NewerSchema

State = Annotated[
    Path | None, typer.Option("--state", help="Its private directory. Default: AIRLOCK_STATE_DIR, or .airlock.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    *, state: State = None, any_port: Annotated[bool, typer.Option(help="Do not try the usual ports.")] = False
) -> None:
    """Start everything here, and keep it running until Ctrl-C.

    That is Temporal with its Web UI, the API and all workers. Address and key are in `.airlock/env` then.
    """
    with stack_failures():
        run_until_stopped(_serve(state or operator_settings().state_dir, usual_ports=not any_port))
    tell("Everything is stopped.")


@contextmanager
def stack_failures() -> Generator[None]:
    """Tell why a stack does not come up. Raises Failed."""
    try:
        yield
    except (AlreadyUp, NoRoom, NoTemporal, NotReady) as error:
        raise Failed(str(error), ExitCode.UNAVAILABLE) from error
    except NewerSchema as error:
        raise Failed(str(error), ExitCode.REFUSED) from error
    except OSError as error:
        raise Failed(f"The stack cannot be started: {error}", ExitCode.UNAVAILABLE) from error


async def _serve(state: Path, *, usual_ports: bool) -> None:
    tell("Starting Temporal, the API and the workers ...")
    async with embedded_stack(state, tell, usual_ports=usual_ports) as running:
        _announce(running)
        try:
            await asyncio.Event().wait()
        finally:
            tell("Stopping everything ...")


def _announce(running: Running) -> None:
    layout = running.layout
    OUT.print(f"API        {layout.api_url}   (documentation: {layout.api_url}/docs)")
    OUT.print(f"Web UI     {layout.web_ui_url}")
    OUT.print(f"Temporal   {layout.temporal_address}")
    OUT.print(f"Settings   source {shlex.quote(str(layout.state / 'env'))}")
    tell("Ctrl-C stops everything.")
