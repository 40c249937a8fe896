"""What was noticed about a script, and the verdicts that follow from it."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Self

from pydantic import Field

from domain.lifecycle import Stage
from domain.values import Value

MAX_FINDINGS_PER_STAGE = 100
"""More findings than this say nothing more; the report counts the rest."""


class Severity(StrEnum):
    """How much a finding weighs. Declared from light to heavy."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def weight(self) -> int:
        """The place in the order: a heavier severity has a larger weight."""
        return tuple(Severity).index(self)


class Verdict(StrEnum):
    """What a stage, or the whole review, says."""

    APPROVED = "approved"
    SUSPICIOUS = "suspicious"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    """The evidence is incomplete. Never approved by itself."""


class Finding(Value):
    """One thing that was noticed. Text in it may stem from the script: escape it where it is shown."""

    rule: str = Field(max_length=80)
    severity: Severity
    message: str = Field(max_length=500)
    line: int | None = None
    column: int | None = None
    evidence: str = Field(default="", max_length=300)
    technique: str | None = Field(default=None, max_length=20)
    """MITRE ATT&CK id, where one fits."""
    snippet: str = Field(default="", max_length=120)
    """The line of the script, escaped and cut. Empty where no place is named."""
    instead: str = Field(default="", max_length=200)
    """How an honest author writes it."""


class StageReport(Value):
    """What a review stage noticed. The policy, not the stage, makes a verdict of it."""

    stage: Stage
    findings: tuple[Finding, ...] = ()
    findings_dropped: int = 0
    """How many more there were than `MAX_FINDINGS_PER_STAGE`."""
    complete: bool = True
    """False: telemetry is missing, or the stage never reached the script."""
    note: str = Field(default="", max_length=500)
    environment_digest: str | None = None
    """What the trial ran in; the execution has to run in the same."""
    completed: bool | None = None
    """Of a trial: whether the script ended by itself and well. None for other stages."""
    isolation_level: int | None = None
    """Of a trial: the level observed inside."""


class Review(Value):
    """All stage reports of one evaluation so far, and a person's decision where there is one."""

    reports: tuple[StageReport, ...] = ()
    approved_by: str | None = Field(default=None, max_length=200)
    rejected_by: str | None = Field(default=None, max_length=200)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, in the order of the stages."""
        return tuple(finding for report in self.reports for finding in report.findings)

    @property
    def findings_digest(self) -> str:
        """SHA-256 over all findings: what an approval refers to."""
        listed = [finding.model_dump(mode="json") for finding in self.findings]
        return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()

    def with_report(self, report: StageReport) -> Self:
        """This review with one more report; a repeated stage replaces its former report."""
        others = tuple(known for known in self.reports if known.stage is not report.stage)
        return self.model_copy(update={"reports": (*others, report)})

    def report_of(self, stage: Stage) -> StageReport | None:
        """The report of one stage, None where it has not been performed."""
        return next((report for report in self.reports if report.stage is stage), None)
