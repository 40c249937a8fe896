"""Whole scripts: what honest authors write, and inert attacks with the stage and rule that must name them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from detection.parser_pool import ParserPool
from detection.static_analysis import StaticAnalyser
from domain.findings import Severity, StageReport, Verdict
from domain.policy import Policy
from tests.slices import slice_of

HERE = Path(__file__).parent
HONEST = sorted(HERE.glob("honest/*.honest"))
HOSTILE = sorted(HERE.glob("hostile/*.hostile"))
MODULES = frozenset(sys.stdlib_module_names) | {"numpy", "pandas", "sklearn"}
WITHIN = timedelta(seconds=30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parsers() -> AsyncIterator[ParserPool]:
    async with ParserPool({"default": Path(sys.executable)}, {"default": MODULES}, size=1) as pool:
        yield pool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def analyser() -> AsyncIterator[StaticAnalyser]:
    async with StaticAnalyser() as one:
        yield one


def content(path: Path) -> bytes:
    return path.read_bytes()


def rejecting(report: StageReport) -> set[str]:
    return {found.rule for found in report.findings if found.severity.weight >= Severity.HIGH.weight}


def expectation(path: Path) -> tuple[str, str]:
    _, stage, rule = path.read_bytes().split(b"\n", 1)[0].decode().removeprefix("# ").split()
    return stage, rule


def test_there_are_enough_of_both():
    assert len(HONEST) >= 60
    assert len(HOSTILE) >= 30


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", slice_of(HONEST, every=8), ids=lambda path: path.stem)
async def test_an_honest_script_is_approved_by_both_stages(path: Path, parsers: ParserPool, analyser: StaticAnalyser):
    source = content(path)

    quick = (await parsers.check(source, "default", WITHIN)).report
    static = await analyser.analyse(source, WITHIN)

    assert [Policy().verdict_of(report) for report in (quick, static)] == [Verdict.APPROVED] * 2, (quick, static)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", slice_of(HOSTILE, every=4), ids=lambda path: path.stem)
async def test_a_hostile_script_is_rejected_where_expected(path: Path, parsers: ParserPool, analyser: StaticAnalyser):
    source = content(path)
    stage, rule = expectation(path)

    quick = (await parsers.check(source, "default", WITHIN)).report

    if stage == "quick_checks":
        assert rule in rejecting(quick)
    else:
        assert rejecting(quick) == set()
        assert rule in rejecting(await analyser.analyse(source, WITHIN))
