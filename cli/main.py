"""`airlock`: the commands, gathered from one module per group."""

from __future__ import annotations

import gc
import io
import sys

import typer

from cli import evaluations, export, models
from cli.session import failures_told

HELP = (
    "Screen, run and watch evaluation scripts. Begin with `airlock up`, and in another terminal with "
    "`airlock submit FILE --model gpt-4 --watch`. Exit codes: 0 done, 1 ended otherwise, 2 usage, 3 refused, "
    "4 not found, 5 unavailable, 6 the platform failed, 7 waits for approval, 8 a sandbox does not hold."
)


def main() -> None:
    """Run one command."""
    _show_letters_that_the_terminal_lacks()
    try:
        with failures_told():
            assembled(sys.argv[1:])()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        gc.collect()  # a client of Temporal that is still there when the interpreter ends can crash it


def _show_letters_that_the_terminal_lacks() -> None:
    """As numbers, in place of failing: what is shown has letters of every script, and a terminal may have a few."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def assembled(arguments: list[str]) -> typer.Typer:
    """The commands that may be meant: what users type all day does not load what operators need (a second)."""
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=HELP
    )
    evaluations.add_to(app)
    models.add_to(app)
    export.add_to(app)
    if not arguments or arguments[0] not in {command.name for command in app.registered_commands}:
        _add_operators_commands(app)
    return app


def _add_operators_commands(app: typer.Typer) -> None:
    from cli import admin, demo, doctor, environments, keys, run, scan, up  # noqa: PLC0415 - see `assembled`

    for group in (up, demo, run, doctor):
        group.add_to(app)
    app.command("scan")(scan.scan)
    app.add_typer(environments.app, name="environments")
    app.add_typer(keys.app, name="keys")
    app.add_typer(admin.app, name="admin")
