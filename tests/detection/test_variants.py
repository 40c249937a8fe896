"""Short variants of the classes of attack: the same technique in another spelling is rejected as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.findings import StageReport, Verdict
from domain.lifecycle import Stage
from domain.policy import Policy
from tests.detection.screening import own_findings

RULER = "\n# ---\n"
TEXT = (Path(__file__).parent / "variants" / "variants.hostile").read_text("utf-8")
VARIANTS = [each + "\n" for each in TEXT.split(RULER)[1:]]


def test_there_are_enough_of_them():
    assert len(set(VARIANTS)) == len(VARIANTS) >= 200


@pytest.mark.parametrize("script", VARIANTS, ids=range(len(VARIANTS)))
def test_a_variant_is_rejected_by_what_it_does(script: str):
    found = [each for each in own_findings(script.encode()) if each.rule != "missing_module"]

    verdict = Policy().verdict_of(StageReport(stage=Stage.STATIC_ANALYSIS, findings=tuple(found)))

    assert verdict is Verdict.REJECTED, script
