"""What findings lead to: one table from severity to verdict, applied to a stage and to a whole review."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from domain.findings import Review, Severity, StageReport, Verdict
from domain.lifecycle import REVIEW_STAGES, Stage
from domain.values import Value

_GRAVITY = (Verdict.APPROVED, Verdict.SUSPICIOUS, Verdict.INCONCLUSIVE, Verdict.REJECTED)


class Policy(Value):
    """How severe a finding must be to make a script suspicious or rejected. Carried by each evaluation."""

    version: str = Field(default="1", max_length=40)
    suspicious_from: Severity = Severity.MEDIUM
    rejected_from: Severity = Severity.HIGH
    approval: bool = True
    """Whether a person may be asked; where not, suspicious is rejected."""
    trial_must_complete: bool = False
    """Whether a trial that ended by exception, time or a limit is suspicious."""

    @model_validator(mode="after")
    def _suspicion_comes_first(self) -> Self:
        if self.suspicious_from.weight > self.rejected_from.weight:
            raise ValueError("suspicious_from must not be heavier than rejected_from")
        return self

    def verdict_of(self, report: StageReport) -> Verdict:
        """What one stage's report amounts to."""
        heaviest = max((finding.severity.weight for finding in report.findings), default=-1)
        if heaviest >= self.rejected_from.weight:
            return Verdict.REJECTED
        if not report.complete:
            return Verdict.INCONCLUSIVE
        if heaviest >= self.suspicious_from.weight:
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
