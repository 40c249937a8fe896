"""What `make test` keeps of a long row of cases; the whole row is for `make nightly`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from _pytest.mark import ParameterSet


def slice_of(row: Iterable[object], every: int) -> list[ParameterSet]:
    """Each case as a parameter: the first, and one in `every` from there, for every day. The others are slow."""
    return [pytest.param(case, marks=[pytest.mark.slow] if place % every else []) for place, case in enumerate(row)]


def slice_of_rows(table: Iterable[Sequence[object]], every: int) -> list[ParameterSet]:
    """The same where a case is several parameters."""
    return [pytest.param(*row, marks=[pytest.mark.slow] if place % every else []) for place, row in enumerate(table)]


def first_of_each(names: Iterable[str], count: int) -> frozenset[str]:
    """Of names like `group/case` the first `count` of each group."""
    kept: dict[str, list[str]] = {}
    for name in names:
        group = kept.setdefault(name.partition("/")[0], [])
        if len(group) < count:
            group.append(name)
    return frozenset(name for group in kept.values() for name in group)
