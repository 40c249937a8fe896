"""Every hostile script in every sandbox of this machine, run for real, several at once, beside honest runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from detection.behaviour.watch import BehaviourWatch
from detection.rules import RULES
from domain.environments import Environment
from domain.findings import Finding
from domain.outcomes import RunOutcome
from sandbox.escape_cases import EscapeCase, read_case, read_cases
from sandbox.escape_suite import CaseResult, EscapeSuite
from sandbox.host_canaries import host_canaries
from tests.sandbox.escapes.conftest import BACKENDS, offered

HERE = Path(__file__).parent
CASES = {case.name: case for case in read_cases(HERE)}
HONEST = read_case(HERE / "neighbour" / "honest_neighbour.honest")
AT_ONCE = 4
TRIALS = [
    pytest.param(backend, name, id=f"{backend}-{name}")
    for backend in BACKENDS
    for name, case in CASES.items()
    if case.concerns(backend)
]
pytestmark = pytest.mark.sandbox
on_one_loop = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Backstage:
    """The suite of one backend while its tests run: cases are tried ahead, and honest runs go on beside them."""

    suite: EscapeSuite
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    tasks: dict[str, asyncio.Task[CaseResult]] = field(default_factory=dict[str, asyncio.Task[CaseResult]])
    neighbours: list[CaseResult] = field(default_factory=list[CaseResult])

    def start(self, names: list[str]) -> None:
        """Begin to try cases, in order, a few at once."""
        self.tasks = {name: asyncio.create_task(self._tried(CASES[name])) for name in names}

    async def result(self, name: str) -> CaseResult:
        """What came of a case."""
        return await self.tasks[name]

    async def _tried(self, case: EscapeCase) -> CaseResult:
        async with self.slots:
            if len(self.neighbours) < 10:
                result, neighbour = await asyncio.gather(self.suite.attempt(case), self.suite.attempt(HONEST))
                self.neighbours.append(neighbour)
                return result
            return await self.suite.attempt(case)


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
    assert CASES[name].findings <= {found.rule for found in _findings(result)}


@on_one_loop
async def test_the_honest_neighbours_are_not_disturbed(backstages: dict[str, Backstage]):
    for backend in backstages.values():
        await asyncio.gather(*backend.tasks.values())

    neighbours = [result for each in backstages.values() for result in each.neighbours]
    assert all(result.held and result.report is not None for result in neighbours), neighbours
    assert {str(result.report.result) for result in neighbours if result.report} <= {"{'sum': 499500}"}


def test_every_case_names_rules_and_outcomes_that_exist():
    outcomes = {each.value for each in RunOutcome} | {"cancelled"}

    assert {outcome for case in CASES.values() for outcome in case.outcomes} <= outcomes
    assert {rule for case in CASES.values() for rule in case.findings} <= RULES.keys()


def test_there_are_cases_of_every_group():
    groups = {name.partition("/")[0] for name in CASES}

    assert {"resources", "files", "processes", "network", "secrets", "evaluation", "orchestration"} <= groups
    assert len(CASES) >= 120


def _findings(result: CaseResult) -> tuple[Finding, ...]:
    if result.report is None:
        return ()
    watch = BehaviourWatch(result.case.script)
    for line in result.printed:
        watch.hear("its output", line)
    for prompt in result.prompts:
        watch.hear("its prompts", prompt)
    return watch.conclude_run(result.report)
