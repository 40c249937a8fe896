"""Every hostile script in every sandbox of this machine, run for real, several at once, beside honest runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from detection.behaviour.watch import findings_of
from detection.rules import RULES
from domain.environments import Environment
from domain.outcomes import RunOutcome
from sandbox.escape_cases import read_cases
from sandbox.escape_oracle import CaseResult
from sandbox.escape_suite import AT_ONCE, EscapeSuite
from sandbox.host_canaries import host_canaries
from tests.sandbox.escapes.conftest import BACKENDS, offered

CASES = {case.name: case for case in read_cases()}
TRIALS = [
    pytest.param(backend, name, id=f"{backend}-{name}", marks=[pytest.mark.slow] if case.slow else [])
    for backend in BACKENDS
    for name, case in CASES.items()
    if case.concerns(backend)
]
pytestmark = pytest.mark.sandbox
on_one_loop = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Backstage:
    """The suite of one backend while its tests run: cases are tried ahead."""

    suite: EscapeSuite
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    tasks: dict[str, asyncio.Task[CaseResult]] = field(default_factory=dict[str, asyncio.Task[CaseResult]])

    def start(self, names: list[str]) -> None:
        """Begin to try cases, in order, a few at once."""
        self.tasks = {name: asyncio.create_task(self._tried(name)) for name in names}

    async def result(self, name: str) -> CaseResult:
        """What came of a case."""
        return await self.tasks[name]

    async def _tried(self, name: str) -> CaseResult:
        async with self.slots:
            return await self.suite.attempt_beside_honest_runs(CASES[name])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backstages(
    request: pytest.FixtureRequest, state: Path, default_environment: Environment
) -> AsyncIterator[dict[str, Backstage]]:
    ready: dict[str, Backstage] = {}
    wanted = _wanted(request)
    async with host_canaries() as canaries:
        for backend, names in wanted.items():
            sandbox = await offered(backend, default_environment, state)
            ready[backend] = Backstage(EscapeSuite(sandbox, state, default_environment.name, canaries))
            ready[backend].start(names)
        try:
            yield ready
        finally:
            tasks = [task for each in ready.values() for task in each.tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _wanted(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """The cases that this session has selected, by backend."""
    wanted: dict[str, list[str]] = {}
    for item in request.session.items:
        called = getattr(item, "callspec", None)
        if called is not None and {"backend", "name"} <= called.params.keys() and item.path == request.path:
            wanted.setdefault(called.params["backend"], []).append(called.params["name"])
    return wanted


@on_one_loop
@pytest.mark.parametrize(("backend", "name"), TRIALS)
async def test_the_sandbox_holds(backstages: dict[str, Backstage], backend: str, name: str):
    result = await backstages[backend].result(name)

    assert result.complaints == ()
    assert CASES[name].findings <= _rules(result)


def test_every_case_names_rules_and_outcomes_that_exist():
    outcomes = {each.value for each in RunOutcome} | {"cancelled"}

    assert {outcome for case in CASES.values() for outcome in case.outcomes} <= outcomes
    assert {rule for case in CASES.values() for rule in case.findings} <= RULES.keys()


def test_there_are_cases_of_every_group():
    groups = {name.partition("/")[0] for name in CASES}

    assert {"resources", "files", "processes", "network", "secrets", "evaluation", "orchestration"} <= groups
    assert len(CASES) >= 120


def _rules(result: CaseResult) -> set[str]:
    if result.report is None:
        return set()
    found = findings_of(result.case.script, result.report, result.printed, result.prompts)
    return {each.rule for each in found}
