"""numpy, pandas and scikit-learn work in every sandbox, and weigh nothing. `make science` makes their environment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from domain.environments import Environment
from sandbox.escape_cases import read_case
from sandbox.escape_suite import EscapeSuite
from tests.sandbox.escapes.backstage import Backstage, backstage
from tests.sandbox.escapes.conftest import ALL_BACKENDS, assert_honest

CASES = {file.stem: read_case(file) for file in sorted((Path(__file__).parent / "honest_science").glob("*.honest"))}
pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(
    request: pytest.FixtureRequest, state: Path, science_environment: Environment
) -> AsyncIterator[Backstage]:
    async with backstage(request, science_environment, state, CASES, EscapeSuite.attempt) as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("name", CASES)
async def test_science_gets_its_right_result(runs: Backstage, backend: str, name: str):
    assert_honest(await runs.result(backend, name))
