"""Hostile and honest scripts in pods, several at once.

Each is a pod of its own, and a small node starts two a second. Every fifth quick one of each group is tried, all with
AIRLOCK_ALL_ESCAPES=1.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from domain.environments import Environment
from sandbox.escape_oracle import is_recorded
from sandbox.escape_suite import EscapeSuite
from sandbox.kubernetes.telemetry import refused_by_runtime
from tests.sandbox.escapes.backstage import Backstage, backstage
from tests.sandbox.escapes.conftest import assert_honest
from tests.sandbox.escapes.test_escapes import CASES, rules_of
from tests.sandbox.escapes.test_honest_scripts import CASES as HONEST

ALL = os.environ.get("AIRLOCK_ALL_ESCAPES") == "1"
GROUPS = sorted({name.partition("/")[0] for name in CASES})
PROMISED = sorted(name for name, case in CASES.items() if case.concerns("kubernetes") and (ALL or not case.slow))
CHOSEN = [
    name for group in GROUPS for name in [each for each in PROMISED if each.startswith(f"{group}/")][:: 1 if ALL else 5]
]
CHOSEN_HONEST = sorted(HONEST)[:: 1 if ALL else 5]
UNRECORDED = refused_by_runtime()
pytestmark = [pytest.mark.sandbox, pytest.mark.cluster]
on_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trials(
    request: pytest.FixtureRequest, state: Path, default_environment: Environment
) -> AsyncIterator[Backstage]:
    async with backstage(request, default_environment, state, CASES | HONEST, EscapeSuite.attempt) as made:
        yield made


@on_one_loop
@pytest.mark.parametrize("backend", ["kubernetes"])
@pytest.mark.parametrize("name", CHOSEN)
async def test_a_pod_holds(trials: Backstage, backend: str, name: str):
    result = await trials.result(backend, name)

    assert result.complaints == ()
    if all(is_recorded(each, UNRECORDED) for each in CASES[name].attempts):
        assert CASES[name].findings <= rules_of(result)


@on_one_loop
@pytest.mark.parametrize("backend", ["kubernetes"])
@pytest.mark.parametrize("name", CHOSEN_HONEST)
async def test_an_honest_script_gets_its_right_result_in_a_pod(trials: Backstage, backend: str, name: str):
    assert_honest(await trials.result(backend, name))


def test_every_group_is_tried():
    assert {name.partition("/")[0] for name in CHOSEN} == set(GROUPS)
