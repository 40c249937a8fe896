"""The commands of whoever has evaluations done: submit, watch, read, stop, decide."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from cli import presentation
from cli.client import AirlockClient, Json, ServerAway, parts_of
from cli.exit_codes import ExitCode, exit_code_of
from cli.following import follow, payload_of, status_in, status_named
from cli.script_files import standard_input
from cli.session import AsJson, EvaluationId, Failed, connection, tell
from cli.terminal import OUT, print_json, untrusted
from domain.lifecycle import Status, is_terminal
from domain.limits import MAX_SCRIPT_BYTES

Script = Annotated[str, typer.Argument(help="A file, or - for standard input.")]
Model = Annotated[str, typer.Option("--model", "-m", help="The model id to evaluate.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="A TOML file with timeout, params, limits, ...")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (submit, status, logs, result, stop, approve, reject, retry, delete):
        app.command(command.__name__)(command)
    app.command("list")(list_evaluations)


def submit(
    script: Script,
    *,
    model: Model,
    config: Config = None,
    timeout: Annotated[int | None, typer.Option(help="Seconds of wall clock.")] = None,
    environment: Annotated[str | None, typer.Option(help="What it may import.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key twice is the same evaluation.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow it to its end, or until a person has to decide.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a script. With --watch the exit code tells how it ended."""
    asked = _config(config) | {k: v for k, v in (("timeout", timeout), ("environment", environment)) if v is not None}
    with connection() as client:
        accepted = client.submit(model, _read(script), asked, idempotency_key=idempotency_key)
        evaluation_id = str(accepted["evaluation_id"])
        if not watch:
            print_json(accepted) if as_json else OUT.print(untrusted(evaluation_id))
            return
        tell(f"{evaluation_id} is accepted.")
        _follow(client, evaluation_id, as_json=as_json, until_asked=True)
        raise SystemExit(_conclude(client, evaluation_id, as_json=as_json))


def status(evaluation_id: EvaluationId, *, as_json: AsJson = False) -> None:
    """Tell where an evaluation is, and why."""
    with connection() as client:
        report = client.status(evaluation_id)
    print_json(report) if as_json else OUT.print(presentation.status(report))


def logs(
    evaluation_id: EvaluationId,
    *,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print its output. Escape sequences are removed: a script must not write on your terminal."""
    with connection() as client:
        if follow_on:
            _follow(client, evaluation_id, as_json=as_json)
            return
        cursor: str | None = None
        stage: object = None
        while entries := parts_of(page := client.logs(evaluation_id, cursor), "entries"):
            for entry in entries:
                if not as_json and entry.get("stage") != stage:  # it prints in its trial, and when it counts
                    stage = entry.get("stage")
                    tell(f"-- {stage} --")
                print_json(entry) if as_json else OUT.print(presentation.line(entry))
            cursor = str(page.get("next_cursor"))


def result(evaluation_id: EvaluationId, *, as_json: AsJson = False) -> None:
    """Print the result, which is a claim, and what vouches for it."""
    with connection() as client:
        answer = client.result(evaluation_id)
    print_json(answer) if as_json else OUT.print(presentation.result(answer))


def stop(
    evaluation_id: EvaluationId,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    wait: Annotated[
        float | None, typer.Option(min=0, max=25, help="Seconds to wait until it is confirmed dead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Order an emergency stop."""
    with connection() as client:
        answer = client.stop(evaluation_id, reason, wait)
    _show_order(answer, as_json=as_json)
    ended = status_named(answer)
    if wait is not None and (ended is None or not is_terminal(ended)):
        raise Failed("It is not confirmed yet; the stop stays in force.", ExitCode.UNAVAILABLE)


def approve(
    evaluation_id: EvaluationId,
    *,
    findings: Annotated[str | None, typer.Option(help="The digest of the findings that you have seen.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let a suspicious script go on."""
    with connection() as client:
        _show_order(client.approve(evaluation_id, findings), as_json=as_json)


def reject(
    evaluation_id: EvaluationId,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    as_json: AsJson = False,
) -> None:
    """Refuse a suspicious script."""
    with connection() as client:
        _show_order(client.reject(evaluation_id, reason), as_json=as_json)


def retry(evaluation_id: EvaluationId, *, as_json: AsJson = False) -> None:
    """Submit it again, as a new evaluation."""
    with connection() as client:
        accepted = client.retry(evaluation_id)
    print_json(accepted) if as_json else OUT.print(untrusted(str(accepted["evaluation_id"])))


def delete(evaluation_id: EvaluationId, *, as_json: AsJson = False) -> None:
    """Delete script, output and transcript of an ended one.

    That it was, stays.
    """
    with connection() as client:
        client.delete(evaluation_id)
    if as_json:
        print_json({"evaluation_id": evaluation_id, "deleted": True})
        return
    tell(f"{evaluation_id} is deleted.")


def list_evaluations(
    *,
    status: Annotated[Status | None, typer.Option(help="Only those with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the last page ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List evaluations, newest first."""
    with connection() as client:
        page = client.list(status=status, limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    OUT.print(presentation.listing(page))
    if page.get("next_cursor"):
        tell(f"More: --cursor {page['next_cursor']}")


def _follow(client: AirlockClient, evaluation_id: str, *, as_json: bool, until_asked: bool = False) -> None:
    for event in follow(client, evaluation_id):
        if as_json:
            print_json({"kind": event.kind, "cursor": event.cursor, **event.data})
        elif event.kind == "log":
            OUT.print(presentation.line(payload_of(event)))
        elif headline := presentation.headline(event.kind, event.data):
            tell(headline)
        if status_in(event) is Status.AWAITING_APPROVAL:
            tell(f"A person has to decide: airlock approve {evaluation_id}, or airlock reject {evaluation_id}")
            if until_asked:  # it may be days
                return


def _conclude(client: AirlockClient, evaluation_id: str, *, as_json: bool) -> int:
    report = client.status(evaluation_id)
    ended = status_named(report)
    if ended is None:
        raise ServerAway(f"{client.url} names a status that this release does not know.")
    if not as_json:
        OUT.print(
            presentation.result(client.result(evaluation_id))
            if ended is Status.COMPLETED
            else presentation.status(report)
        )
    return int(exit_code_of(ended))


def _show_order(answer: Json, *, as_json: bool) -> None:
    print_json(answer) if as_json else OUT.print(presentation.status(answer))


def _read(script: str) -> str:
    """The text of a script. Raises Failed where it cannot be sent: what is not UTF-8 is never guessed at."""
    try:
        source = standard_input() if script == "-" else Path(script).open("rb")  # noqa: SIM115 - closed below
        with source:
            content = source.read(MAX_SCRIPT_BYTES + 1)
    except OSError as error:
        raise Failed(f"{script} cannot be read: {error.strerror}", ExitCode.USAGE) from error
    if len(content) > MAX_SCRIPT_BYTES:
        raise Failed(f"{script} is larger than {MAX_SCRIPT_BYTES} bytes", ExitCode.USAGE)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Failed(f"{script} is not UTF-8: {error.reason} at byte {error.start}", ExitCode.USAGE) from error


def _config(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        config = tomllib.loads(file.read_text("utf-8"))
        unsendable = _unsendable(config)
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}", ExitCode.USAGE) from error
    except ValueError as error:
        raise Failed(f"{file} cannot be used: {error}", ExitCode.USAGE) from error
    except RecursionError:
        raise Failed(f"{file} cannot be used: it nests too deep", ExitCode.USAGE) from None
    if unsendable is not None:
        raise Failed(f"{file} cannot be used: {unsendable} is nothing that JSON has", ExitCode.USAGE)
    return config


def _unsendable(value: object, place: str = "") -> str | None:
    """Where there is what TOML has and JSON has not: a date, NaN or an infinity. None where there is nothing such."""
    match value:
        case dict():
            steps = cast("dict[object, object]", value).items()
        case list():
            steps = enumerate(cast("list[object]", value))
        case bool() | int() | str():
            return None
        case float() if math.isfinite(value):
            return None
        case _:
            return place
    found = (_unsendable(each, f"{place}.{step}" if place else str(step)) for step, each in steps)
    return next(filter(None, found), None)
