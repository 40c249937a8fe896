"""A stack of its own for each test that breaks something, and one for all those that do not."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.e2e.stack import Stack, a_stack


@pytest.fixture
async def stack() -> AsyncGenerator[Stack]:
    async with a_stack() as started:
        yield started
