"""Every hostile script in every sandbox of this machine, run for real, several at once, beside honest runs.

Every day a few of each group are tried; all of them by `make nightly`, and by `airlock doctor`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from detection.behaviour.watch import findings_of
from detection.rules import RULES
from domain.environments import Environment
from domain.outcomes import RunOutcome
from domain.runs import Backend
from sandbox.escape_cases import read_cases
from sandbox.escape_oracle import CaseResult, findings_wanted
from sandbox.escape_suite import EscapeSuite
from tests.sandbox.escapes.backstage import Backstage, backstage
from tests.sandbox.escapes.conftest import BACKENDS
from tests.slices import first_of_each

CASES = {case.name: case for case in read_cases()}
EVERY_DAY = first_of_each((case.name for case in CASES.values() if not case.slow), 2)
TRIALS = [
    pytest.param(backend, name, id=f"{backend}-{name}", marks=[] if name in EVERY_DAY else [pytest.mark.slow])
    for backend in BACKENDS
    for name, case in CASES.items()
    if case.concerns(backend)
] + [
    pytest.param("gvisor", name, id=f"gvisor-{name}", marks=[pytest.mark.slow])  # a kernel for each takes its time
    for name, case in CASES.items()
    if case.concerns("gvisor")
]
pytestmark = pytest.mark.sandbox
on_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trials(
    request: pytest.FixtureRequest, state: Path, default_environment: Environment
) -> AsyncIterator[Backstage]:
    how = EscapeSuite.attempt_beside_honest_runs
    async with backstage(request, default_environment, state, CASES, how) as made:
        yield made


@on_one_loop
@pytest.mark.parametrize(("backend", "name"), TRIALS)
async def test_the_sandbox_holds(trials: Backstage, backend: str, name: str):
    result = await trials.result(backend, name)

    assert result.complaints == ()
    assert findings_wanted(CASES[name], Backend(backend)) <= rules_of(result)


def test_every_case_names_rules_and_outcomes_that_exist():
    outcomes = {each.value for each in RunOutcome} | {"cancelled"}

    assert {outcome for case in CASES.values() for outcome in case.outcomes | case.own_kernel} <= outcomes
    assert {rule for case in CASES.values() for rule in case.findings} <= RULES.keys()


def test_there_are_cases_of_every_group():
    groups = {name.partition("/")[0] for name in CASES}

    assert {"resources", "files", "processes", "network", "secrets", "evaluation", "orchestration"} <= groups
    assert len(CASES) >= 120


def rules_of(result: CaseResult) -> set[str]:
    if result.report is None:
        return set()
    found = findings_of(result.case.script, result.report, result.printed, result.prompts)
    return {each.rule for each in found}
