"""The escape suite as `airlock doctor` tries it: on one sandbox, several cases at once, with its progress shown."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.terminal import ERR, table, untrusted
from detection.behaviour.watch import findings_of
from domain.runs import Backend
from sandbox.escape_cases import EscapeCase, read_cases
from sandbox.escape_oracle import CaseResult, findings_wanted
from sandbox.escape_suite import AT_ONCE, EscapeSuite
from sandbox.host_canaries import host_canaries
from sandbox.local.backend import LocalSandbox
from sandbox.local.residue import Residue


@dataclass(frozen=True)
class Failure:
    """A case that a sandbox did not hold against, and what got through."""

    case: str
    notes: str
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class Trials:
    """What came of the suite on one sandbox."""

    sandbox: str
    cases: int
    seconds: float
    failed: tuple[Failure, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        failed = [{"case": each.case, "notes": each.notes, "complaints": each.complaints} for each in self.failed]
        held = self.cases - len(self.failed)
        return {
            "sandbox": self.sandbox,
            "cases": self.cases,
            "held": held,
            "seconds": round(self.seconds, 1),
            "failed": failed,
        }

    def as_text(self) -> RenderableType:
        """For people."""
        held = self.cases - len(self.failed)
        summary = untrusted(
            f"{self.sandbox} held against {held} of {self.cases} hostile scripts in {self.seconds:.0f} s",
            "red" if self.failed else "green",
        )
        if not self.failed:
            return summary
        rows = [(each.case, each.notes, "; ".join(each.complaints)) for each in self.failed]
        return Group(summary, table(("case", "what it tries", "what got through"), rows))


async def tried_on(sandbox: LocalSandbox, state: Path, environment: str, only: str, *, quick: bool) -> Trials:
    """Try the suite, or the part of it that is asked for. `state` is the sandbox's own."""
    name, began = sandbox.backend.value, time.monotonic()
    cases = [case for case in read_cases() if case.concerns(name) and only in case.name and not (quick and case.slow)]
    failures: list[Failure] = []
    slots = asyncio.Semaphore(AT_ONCE)
    async with host_canaries() as canaries:
        suite = EscapeSuite(sandbox, Residue(sandbox, state), environment, canaries)
        with _progress() as progress:
            line = progress.add_task(name, total=len(cases), failed=0)

            async def attempt(case: EscapeCase) -> None:
                async with slots:
                    result = await suite.attempt_beside_honest_runs(case)
                failures.extend(_failure(result, sandbox.backend))
                progress.update(line, advance=1, failed=len(failures))

            async with asyncio.TaskGroup() as group:
                for case in cases:
                    group.create_task(attempt(case))
    failures.sort(key=lambda failure: failure.case)
    return Trials(name, len(cases), time.monotonic() - began, tuple(failures))


def _failure(result: CaseResult, backend: Backend) -> list[Failure]:
    complaints = (*result.complaints, *_unnamed(result, backend))
    return [Failure(result.case.name, result.case.notes, complaints)] if complaints else []


def _unnamed(result: CaseResult, backend: Backend) -> list[str]:
    """Rules that behavioural analysis should have named."""
    if result.report is None:
        return []
    found = findings_of(result.case.script, result.report, result.printed, result.prompts)
    return [
        f"behavioural analysis does not name {rule}"
        for rule in findings_wanted(result.case, backend) - {each.rule for each in found}
    ]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("hostile scripts, {task.fields[failed]} got through"),
        TimeElapsedColumn(),
        console=ERR,
        transient=True,
    )
