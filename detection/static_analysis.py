"""Stage 2: what a script means. Our own rules, bandit's and a learned opinion, in one bounded child."""

from __future__ import annotations

import asyncio
import base64
import sys
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, cast

from detection.child_pool import ChildDied, ChildLate, ChildPool
from detection.notes import Note, printable
from detection.rules import BANDIT, LEARNED, RULES
from detection.scoring import THRESHOLD
from detection.stage_reports import finding, finding_of, stage_report
from domain.errors import AnalysisTimeout
from domain.findings import Finding, Severity, StageReport
from domain.lifecycle import Stage

ATTEMPTS = (True, True, False)
"""Whether the learned opinion is asked. As in `parser_pool` no honest script kills two children; one that was made to
burst the model, which is not our code, still gets the findings of the rules."""
WITHIN = timedelta(seconds=45)
"""For both attempts, within the stage's 60 s. The child itself is bounded by processor time."""
_PROGRAM = Path(__file__).with_name("analysis_child.py")
_WEIGHTS = {
    ("HIGH", "HIGH"): Severity.HIGH,
    ("HIGH", "MEDIUM"): Severity.MEDIUM,
    ("MEDIUM", "HIGH"): Severity.MEDIUM,
    ("MEDIUM", "MEDIUM"): Severity.MEDIUM,
    ("HIGH", "LOW"): Severity.LOW,
    ("MEDIUM", "LOW"): Severity.LOW,
}
"""Bandit's severity and confidence. What is not here is worth a mention."""


class BanditOpinion(TypedDict):
    """One issue of bandit's, as the child sends it."""

    test: str
    severity: str
    confidence: str
    line: int
    column: int
    text: str


class _Reply(TypedDict):
    notes: list[Note]
    bandit: list[BanditOpinion]
    score: float | None


class StaticAnalyser:
    """Analyses scripts in pre-started children. Used as an async context manager."""

    def __init__(self, python: str = sys.executable, size: int = 1) -> None:
        hello = {"bandit": [rule.id.removeprefix("bandit.") for rule in BANDIT]}
        self._pool = ChildPool((python, "-I", str(_PROGRAM)), hello, size)

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)

    async def analyse(self, source: bytes, within: timedelta = WITHIN) -> StageReport:
        """What static analysis notices. Raises AnalysisTimeout, and AnalyserFailed where no child can be started."""
        text = base64.b64encode(source).decode("ascii")
        deadline = asyncio.get_running_loop().time() + within.total_seconds()
        for learned in ATTEMPTS:
            try:
                reply = cast("_Reply", await self._pool.ask({"source": text, "learned": learned}, deadline))
            except ChildLate:
                raise AnalysisTimeout("static analysis did not answer in time") from None
            except ChildDied:
                continue
            burst = [] if learned else [finding(RULES["not_analysed"], "the learned opinion took more than it may")]
            return stage_report(Stage.STATIC_ANALYSIS, [*burst, *_findings(reply)], source)
        return stage_report(Stage.STATIC_ANALYSIS, [finding(RULES["not_analysed"], "the analyser died, every time")])


def _findings(reply: _Reply) -> list[Finding]:
    found = [*map(finding_of, reply["notes"]), *map(opinion_finding, reply["bandit"])]
    score = reply["score"]
    if score is not None and score >= THRESHOLD:
        found.append(finding(LEARNED, f"{score:.2f} of 1"))
    return sorted(found, key=lambda each: (each.line or 0, each.column or 0, each.rule, each.evidence))


def opinion_finding(opinion: BanditOpinion) -> Finding:
    """What bandit said, with the lighter of its own weight and the table's."""
    rule = RULES[f"bandit.{opinion['test']}"]
    weight = _WEIGHTS.get((opinion["severity"], opinion["confidence"]), Severity.INFO)
    severity = min(weight, rule.severity, key=lambda each: each.weight)
    made = finding(rule, printable(opinion["text"], 200), severity=severity)
    return made.model_copy(update={"line": opinion["line"], "column": opinion["column"]})
