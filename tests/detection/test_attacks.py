"""Inert attacks, grouped by what they try: each says which verdict the two static stages must reach without bandit.

Those below `held_out*` were written before anybody looked at which rules catch them, and no rule was written for them
before their first measurement (docs/screening.md has its result).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.findings import StageReport, Verdict
from domain.lifecycle import Stage
from domain.policy import Policy
from tests.detection.screening import own_findings

ATTACKS = Path(__file__).parent / "attacks"
CASES = sorted(ATTACKS.rglob("*.hostile"))
_EXPECTED = re.compile(rb"expected: (\w+)")


def expected(source: bytes) -> Verdict:
    marked = _EXPECTED.search(source.replace(b"\0", b""))  # one of them is UTF-16
    assert marked is not None
    return Verdict(marked[1].decode())


def test_there_are_enough_of_them():
    assert len(CASES) >= 150
    assert len({path.parent.name for path in CASES}) >= 8


@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.relative_to(ATTACKS).with_suffix("")))
def test_an_attack_meets_its_verdict(path: Path):
    source = path.read_bytes()

    report = StageReport(stage=Stage.STATIC_ANALYSIS, findings=tuple(own_findings(source)))

    assert Policy().verdict_of(report) is expected(source), sorted({found.rule for found in report.findings})
