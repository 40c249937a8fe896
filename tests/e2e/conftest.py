"""A stack of its own for each test that breaks something, and one for all those that do not."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.e2e.stack import Stack, a_stack


@pytest.fixture
async def stack() -> AsyncGenerator[Stack]:
    async with a_stack() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unbroken() -> AsyncGenerator[Stack]:
    """For tests that leave every process as it is. They run on the module's loop."""
    async with a_stack(AIRLOCK_SWEEP_SECONDS="0.5") as started:
        yield started
