"""What honest scripts do must work in every sandbox, and weigh nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from domain.environments import Environment
from sandbox.escape_cases import read_case
from sandbox.escape_suite import EscapeSuite
from tests.sandbox.escapes.backstage import Backstage, backstage
from tests.sandbox.escapes.conftest import BACKENDS, assert_honest
from tests.slices import slice_of

HERE = Path(__file__).parent
CASES = {file.stem: read_case(file) for file in sorted((HERE / "honest").glob("*.honest"))}
SCIENCE = {file.stem: read_case(file) for file in sorted((HERE / "honest_science").glob("*.honest"))}
pytestmark = pytest.mark.sandbox
on_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(
    request: pytest.FixtureRequest, state: Path, default_environment: Environment
) -> AsyncIterator[Backstage]:
    async with backstage(request, default_environment, state, CASES, EscapeSuite.attempt) as made:
        yield made


@on_one_loop
@pytest.mark.parametrize("backend", [*BACKENDS, pytest.param("gvisor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", slice_of(CASES, every=8))
async def test_an_honest_script_gets_its_right_result(runs: Backstage, backend: str, name: str):
    assert_honest(await runs.result(backend, name))


def test_there_are_forty_of_them():
    assert len(CASES) >= 40
    assert len(SCIENCE) >= 5
