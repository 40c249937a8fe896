"""`airlock demo`: everything on one machine, shown with the examples, and stopped again."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

import typer
from rich.live import Live
from rich.text import Text

from cli.client import AirlockClient, Refused, part_of
from cli.demo_board import Row, board
from cli.examples import load_examples
from cli.exit_codes import ExitCode
from cli.following import follow, payload_of, status_in
from cli.presentation import cause_line
from cli.session import Failed, tell
from cli.stack.embedded import Running, embedded_stack
from cli.stack.interruption import run_until_stopped
from cli.terminal import OUT, untrusted
from cli.up import stack_failures
from domain.lifecycle import Stage, Status

MODEL = "gpt-4"
WITHIN = 240.0
"""Seconds for all examples, on a slow machine too."""
REDRAWN = 0.25
"""Seconds between two looks of the board."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo() -> None:
    """Start everything, run the examples, and stop everything."""
    tell("Starting Temporal, the API and the workers ...")
    with tempfile.TemporaryDirectory(prefix="airlock-demo-") as place, stack_failures():
        Path(place).chmod(0o711)  # a run's own user walks through to its environment
        rows = run_until_stopped(_demonstrated(Path(place)))
    if rows is None:
        raise SystemExit(130)
    tell("Everything is stopped.")
    wrong = [row for row in rows if not row.as_expected]
    if wrong:
        names = ", ".join(f"{row.example.file} ({row.status}, {row.cause})" for row in wrong)
        raise Failed(f"Not as expected: {names}", ExitCode.NOT_COMPLETED)
    tell(f"All {len(rows)} examples ended as expected.")


async def _demonstrated(state: Path) -> list[Row]:
    rows = [Row(example) for example in load_examples()]
    async with embedded_stack(state, tell) as running:
        OUT.print(f"API documentation  {running.layout.api_url}/docs")
        OUT.print(f"Temporal Web UI    {running.layout.web_ui_url}\n")
        with Live(board(rows), console=OUT, refresh_per_second=8, transient=False) as live:
            work = asyncio.gather(*(asyncio.to_thread(_run_one, running, row) for row in rows))
            await _redraw_until(work, live, rows)
        _summarise(rows)
    return rows


async def _redraw_until(work: asyncio.Future[list[None]], live: Live, rows: list[Row]) -> None:
    async with asyncio.timeout(WITHIN):
        while not work.done():
            live.update(board(rows))
            await asyncio.wait((work,), timeout=REDRAWN)
    await work
    live.update(board(rows))


def _run_one(running: Running, row: Row) -> None:
    """Submit an example and note what happens to it, until it has ended."""
    with AirlockClient(running.layout.api_url, running.api_key) as client:
        accepted = client.submit(MODEL, row.example.script, row.example.config)
        row.evaluation_id = str(accepted["evaluation_id"])
        _saw(row, Status(accepted["status"]), None)
        for event in follow(client, row.evaluation_id):
            payload = payload_of(event)
            if event.kind in ("status", "stage"):
                stage = payload.get("stage") or event.data.get("stage")
                _saw(row, status_in(event) or row.status or Status.QUEUED, Stage(stage) if stage else None)
        _conclude(client, row)


def _saw(row: Row, status: Status, stage: Stage | None) -> None:
    before = row.where
    row.saw(status, stage)
    if not OUT.is_terminal and row.where != before:  # a log of somebody's CI shows no board that is drawn again
        tell(row.where)


def _conclude(client: AirlockClient, row: Row) -> None:
    row.report = client.status(row.evaluation_id)
    row.status = Status(row.report["status"])
    cause = part_of(row.report, "cause")
    row.cause = cause.get("code")
    try:
        row.result = client.result(row.evaluation_id)
    except Refused:  # it never came to an execution
        row.result = {}
    isolation = part_of(row.result, "isolation")
    row.isolation = f"level {isolation['level']} ({isolation['backend']})" if isolation else ""


def _summarise(rows: list[Row]) -> None:
    def end(row: Row) -> str:
        if row.status is Status.COMPLETED:
            has_result = row.result.get("has_result")
            return json.dumps(row.result["result"]) if has_result else "no result: a plain program returns none"
        return cause_line(part_of(row.report, "cause"))

    OUT.print()
    for row in rows:
        OUT.print(Text.assemble((row.example.file, "bold"), f"  {row.example.shows}"))
        OUT.print(untrusted(f"    {row.isolation or 'never executed'}: {end(row)}"))
    OUT.print()
