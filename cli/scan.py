"""`airlock scan`: the two static stages for an editor, a pre-commit hook or a pull request, without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.sarif import sarif
from cli.script_files import NoScript, content_of, files_of
from detection.policy_file import PolicyError, load_policy
from detection.screening import Screened, Screening
from domain.errors import PlatformError
from domain.findings import Finding, Verdict
from domain.policy import Policy
from storage.catalogues import CatalogueError, load_environments

APPROVED, NOT_APPROVED, MISUSE = 0, 1, 2
"""Exit codes: every script is approved; one is not; there was nothing to scan, or not as asked."""


class _Misuse(Exception):
    """What was asked for cannot be done. Its text is one sentence for the user."""


def scan(
    paths: Annotated[list[str], typer.Argument(help="Scripts, directories of *.py, or - for standard input.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per script.")] = False,  # noqa: FBT002
    as_sarif: Annotated[bool, typer.Option("--sarif", help="One SARIF 2.1.0 log.")] = False,  # noqa: FBT002
    policy: Annotated[Path | None, typer.Option(help="A policy (TOML) instead of the built-in one.")] = None,
    environment: Annotated[
        Path | None, typer.Option(help="An environment's *.json: modules that it lacks are findings.")
    ] = None,
) -> None:
    """Screen scripts as the first two stages would. Exit code 0: all approved, 1: not all, 2: misuse."""
    try:
        files = list(files_of(paths))
        ruled_by, modules = load_policy(policy), _modules(environment)
        show = _presenter(json_lines=json_lines, as_sarif=as_sarif)
        screened = asyncio.run(_screen(files, ruled_by, modules, show))
    except (_Misuse, NoScript, PolicyError, CatalogueError, PlatformError) as refused:
        typer.echo(_plain(str(refused)), err=True)
        raise typer.Exit(MISUSE) from None
    if as_sarif:
        typer.echo(sarif(screened))
    approved = all(each.verdict is Verdict.APPROVED for each in screened)
    raise typer.Exit(APPROVED if approved else NOT_APPROVED)


async def _screen(
    files: Sequence[str], policy: Policy, modules: frozenset[str] | None, show: Callable[[Screened], None]
) -> list[Screened]:
    screened: list[Screened] = []
    async with Screening(policy, modules) as screening:
        async for each in screening.all((name, content_of(name)) for name in files):
            show(each)
            screened.append(each)
    return screened


def _modules(environment: Path | None) -> frozenset[str] | None:
    if environment is None:
        return None
    known = load_environments(environment.parent)
    for each in known.values():
        if each.name == environment.stem:
            return frozenset(each.modules)
    raise _Misuse(f"There is no environment at {environment}.")


def _presenter(*, json_lines: bool, as_sarif: bool) -> Callable[[Screened], None]:
    if json_lines and as_sarif:
        raise _Misuse("Ask for --json or for --sarif, not for both.")
    return _keep if as_sarif else _print_json if json_lines else _print_text


def _keep(_: Screened) -> None:
    """A SARIF log is written whole, at the end."""


def _print_json(screened: Screened) -> None:
    findings = [found.model_dump(mode="json", exclude_none=True) for found in screened.findings]
    record = {"path": screened.name, "verdict": screened.verdict.value, "findings": findings}
    typer.echo(json.dumps(record | ({"note": screened.note} if screened.note else {})))


def _print_text(screened: Screened) -> None:
    typer.echo(f"{_plain(screened.name)}: {screened.verdict}{f' ({screened.note})' if screened.note else ''}")
    for found in screened.findings:
        typer.echo(f"  {_place(found)}{found.severity} {found.rule}: {_plain(found.message)}")
        if found.snippet:
            typer.echo(f"      {_plain(found.snippet)}")
        if found.instead:
            typer.echo(f"      instead: {found.instead}")


def _place(found: Finding) -> str:
    return "" if found.line is None else f"{found.line}:{found.column or 1}: "


def _plain(text: str) -> str:
    """Text that moves no cursor."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
