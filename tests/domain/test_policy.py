"""What findings lead to: nothing defaults to approved, and a person cannot overrule a rejection."""

import pytest

from domain.findings import Finding, Review, Severity, StageReport, Verdict
from domain.lifecycle import REVIEW_STAGES, Stage
from domain.policy import Policy, RuleVerdict

POLICY = Policy()


def a_review(*severities: Severity, complete: bool = True, stage: Stage = Stage.STATIC_ANALYSIS) -> Review:
    findings = tuple(Finding(rule="a-rule", severity=severity, message="seen") for severity in severities)
    review = Review()
    for each in REVIEW_STAGES:
        mine = each is stage
        review = review.with_report(
            StageReport(stage=each, findings=findings if mine else (), complete=complete if mine else True)
        )
    return review


@pytest.mark.parametrize(
    ("severity", "verdict"),
    [
        (Severity.INFO, Verdict.APPROVED),
        (Severity.LOW, Verdict.APPROVED),
        (Severity.MEDIUM, Verdict.SUSPICIOUS),
        (Severity.HIGH, Verdict.REJECTED),
        (Severity.CRITICAL, Verdict.REJECTED),
    ],
)
def test_the_heaviest_finding_decides(severity: Severity, verdict: Verdict) -> None:
    assert POLICY.judge(a_review(Severity.INFO, severity)) is verdict


def test_a_review_without_a_stage_is_never_approved() -> None:
    for missing in REVIEW_STAGES:
        reports = tuple(StageReport(stage=stage) for stage in REVIEW_STAGES if stage is not missing)

        assert POLICY.judge(Review(reports=reports)) is Verdict.INCONCLUSIVE
    assert POLICY.judge(Review()) is Verdict.INCONCLUSIVE


def test_an_incomplete_stage_is_inconclusive() -> None:
    assert POLICY.judge(a_review(complete=False)) is Verdict.INCONCLUSIVE


def test_an_incomplete_stage_does_not_hide_a_rejection() -> None:
    assert POLICY.judge(a_review(Severity.HIGH, complete=False)) is Verdict.REJECTED


@pytest.mark.parametrize("review", [a_review(Severity.MEDIUM), a_review(complete=False)])
def test_a_person_may_approve_what_is_in_doubt(review: Review) -> None:
    assert POLICY.judge(review.model_copy(update={"approved_by": "ada"})) is Verdict.APPROVED


def test_a_person_may_not_approve_what_the_rules_reject() -> None:
    review = a_review(Severity.HIGH).model_copy(update={"approved_by": "ada"})

    assert POLICY.judge(review) is Verdict.REJECTED


def test_a_person_may_reject_what_is_in_doubt() -> None:
    review = a_review(Severity.MEDIUM).model_copy(update={"rejected_by": "ada"})

    assert POLICY.judge(review) is Verdict.REJECTED


@pytest.mark.parametrize("review", [a_review(Severity.MEDIUM), a_review(complete=False)])
def test_where_nobody_may_be_asked_doubt_is_rejected(review: Review) -> None:
    assert Policy(approval=False).judge(review) is Verdict.REJECTED


def test_a_trial_that_broke_is_approved_unless_the_operator_asks_for_completion() -> None:
    report = StageReport(stage=Stage.SANDBOX_TRIAL, completed=False)

    assert POLICY.verdict_of(report) is Verdict.APPROVED
    assert Policy(trial_must_complete=True).verdict_of(report) is Verdict.SUSPICIOUS


@pytest.mark.parametrize(
    ("stage", "severity", "code"),
    [
        (Stage.QUICK_CHECKS, Severity.HIGH, "unsafe_operations"),
        (Stage.STATIC_ANALYSIS, Severity.HIGH, "unsafe_operations"),
        (Stage.SANDBOX_TRIAL, Severity.HIGH, "failed_sandbox_test"),
        (Stage.SANDBOX_TRIAL, Severity.MEDIUM, "suspicious_patterns"),
        (Stage.STATIC_ANALYSIS, Severity.MEDIUM, "suspicious_patterns"),
    ],
)
def test_the_code_says_what_the_review_ended_by(stage: Stage, severity: Severity, code: str) -> None:
    assert POLICY.rejection_code(a_review(severity, stage=stage)) == code


def test_a_policy_that_rejects_before_it_suspects_does_not_validate() -> None:
    with pytest.raises(ValueError, match="must not be heavier"):
        Policy(suspicious_from=Severity.CRITICAL, rejected_from=Severity.MEDIUM)


def test_a_rule_may_have_a_verdict_of_its_own() -> None:
    review = a_review(Severity.HIGH)

    def judged_as(verdict: Verdict) -> Verdict:
        return Policy(rules=(RuleVerdict(rule="a-rule", verdict=verdict),), approval=True).judge(review)

    assert judged_as(Verdict.APPROVED) is Verdict.APPROVED
    assert judged_as(Verdict.SUSPICIOUS) is Verdict.SUSPICIOUS
    assert judged_as(Verdict.REJECTED) is Verdict.REJECTED
    assert Policy(rules=(RuleVerdict(rule="other", verdict=Verdict.APPROVED),)).judge(review) is Verdict.REJECTED


def test_a_policy_written_before_rules_had_verdicts_is_read_as_it_was() -> None:
    assert Policy.model_validate({"version": "1", "suspicious_from": "low"}).rules == ()


@pytest.mark.parametrize(
    "rules",
    [
        [{"rule": "a", "verdict": "inconclusive"}],
        [{"rule": "a", "verdict": "approved"}, {"rule": "a", "verdict": "rejected"}],
        [{"rule": "", "verdict": "approved"}],
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(rules: list[dict[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"inconclusive|twice|at least 1"):
        Policy.model_validate({"rules": rules})
