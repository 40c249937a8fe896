"""`airlock export`: everything that is kept of one evaluation, in one file."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from cli.exit_codes import ExitCode
from cli.session import EvaluationId, Failed, connection, tell

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where to; - is standard output. Default: EVALUATION.json here.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(evaluation_id: EvaluationId, *, output: Output = None) -> None:
    """Write all that is kept of an evaluation into a JSON file.

    That is record, script, result, output and transcript. Texts in it are the script's.
    """
    with connection() as client:
        pieces = client.export(evaluation_id)
        if str(output) == "-":
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            return
        first = next(pieces, b"")  # before a file is made: what is refused leaves none behind
        path = output or Path(f"{evaluation_id}.json")
        try:
            with open(path, "xb", opener=_private) as file:
                _fill(file, path, itertools.chain([first], pieces))
        except OSError as error:
            raise Failed(f"{path} cannot be written: {error.strerror}", ExitCode.USAGE) from error
    tell(f"{evaluation_id} is in {path}.")


def _fill(file: BinaryIO, path: Path, pieces: Iterable[bytes]) -> None:
    """Write the whole of it, or leave nothing that could be taken for the whole."""
    try:
        for piece in pieces:
            file.write(piece)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _private(path: str, flags: int) -> int:
    """For nobody else's eyes: a script and its result may be anything."""
    return os.open(path, flags, 0o600)
