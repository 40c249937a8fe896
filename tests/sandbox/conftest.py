"""What the tests of several directories here need of a cluster."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.sandbox.kubernetes.world import World, entered, namespace_of_its_own

GONE_WITHIN = 15.0
"""Seconds after the last run until its pod is gone."""


@pytest.fixture(scope="session")
def pods() -> Generator[tuple[World, str]]:
    """The cluster, and a namespace for this session alone, of whose runs nothing may be left in the end."""
    world = entered()
    with namespace_of_its_own(world) as namespace:
        yield world, namespace
        assert world.is_empty(namespace, GONE_WITHIN)
