"""The cluster, for the tests of this directory."""

from __future__ import annotations

import pytest

from tests.sandbox.kubernetes.world import World, entered


@pytest.fixture(scope="session")
def world() -> World:
    return entered()
