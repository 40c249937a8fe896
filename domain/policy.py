"""What findings lead to: one table from severity and rule to verdict, applied to a stage and to a whole review."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from domain.findings import Finding, Review, Severity, StageReport, Verdict
from domain.lifecycle import REVIEW_STAGES, Stage
from domain.values import Value

_GRAVITY = (Verdict.APPROVED, Verdict.SUSPICIOUS, Verdict.INCONCLUSIVE, Verdict.REJECTED)


class RuleVerdict(Value):
    """What a finding of one rule leads to, whatever its severity."""

    rule: str = Field(min_length=1, max_length=80)
    verdict: Verdict

    @model_validator(mode="after")
    def _is_a_decision(self) -> Self:
        if self.verdict is Verdict.INCONCLUSIVE:
            raise ValueError("a finding is evidence: it cannot be inconclusive")
        return self


class Policy(Value):
    """How severe a finding must be to make a script suspicious or rejected. Carried by each evaluation."""

    version: str = Field(default="1", max_length=40)
    suspicious_from: Severity = Severity.MEDIUM
    rejected_from: Severity = Severity.HIGH
    approval: bool = True
    """Whether a person may be asked; where not, suspicious is rejected."""
    trial_must_complete: bool = False
    """Whether a trial that ended by exception, time or a limit is suspicious."""
    rules: tuple[RuleVerdict, ...] = ()
    """Exceptions from the table of severities, by rule."""

    @model_validator(mode="after")
    def _suspicion_comes_first(self) -> Self:
        if self.suspicious_from.weight > self.rejected_from.weight:
            raise ValueError("suspicious_from must not be heavier than rejected_from")
        names = [each.rule for each in self.rules]
        if len(names) != len(set(names)):
            raise ValueError("a rule is named twice")
        return self

    def verdict_on(self, finding: Finding) -> Verdict:
        """What one finding leads to by itself."""
        for each in self.rules:
            if each.rule == finding.rule:
                return each.verdict
        if finding.severity.weight >= self.rejected_from.weight:
            return Verdict.REJECTED
        suspicious = finding.severity.weight >= self.suspicious_from.weight
        return Verdict.SUSPICIOUS if suspicious else Verdict.APPROVED

    def verdict_of(self, report: StageReport) -> Verdict:
        """What one stage's report amounts to."""
        verdicts = {self.verdict_on(finding) for finding in report.findings}
        if Verdict.REJECTED in verdicts:
            return Verdict.REJECTED
        if not report.complete:
            return Verdict.INCONCLUSIVE
        if Verdict.SUSPICIOUS in verdicts:
            return Verdict.SUSPICIOUS
        if self.trial_must_complete and report.completed is False:
            return Verdict.SUSPICIOUS
        return Verdict.APPROVED

    def judge(self, review: Review) -> Verdict:
        """What the whole review amounts to. A person's decision settles suspicion, never a rejection by rule."""
        gravest = max((self.verdict_of(report) for report in review.reports), key=_GRAVITY.index, default=None)
        if gravest is Verdict.REJECTED or review.rejected_by is not None:
            return Verdict.REJECTED
        if gravest is None or any(review.report_of(stage) is None for stage in REVIEW_STAGES):
            return Verdict.INCONCLUSIVE
        if gravest is Verdict.APPROVED or review.approved_by is not None:
            return Verdict.APPROVED
        return gravest if self.approval else Verdict.REJECTED

    def rejection_code(self, review: Review) -> str:
        """Why a review ended: the cause code of design.md 3."""
        trial = review.report_of(Stage.SANDBOX_TRIAL)
        if trial is not None and self.verdict_of(trial) is Verdict.REJECTED:
            return "failed_sandbox_test"
        if any(self.verdict_of(report) is Verdict.REJECTED for report in review.reports):
            return "unsafe_operations"
        return "suspicious_patterns"
