"""A review: one report per stage, and a digest that an approval can refer to."""

from domain.findings import Finding, Review, Severity, StageReport
from domain.lifecycle import Stage


def a_report(stage: Stage, *rules: str) -> StageReport:
    return StageReport(
        stage=stage, findings=tuple(Finding(rule=rule, severity=Severity.LOW, message="m") for rule in rules)
    )


def test_a_repeated_stage_replaces_its_former_report() -> None:
    review = Review().with_report(a_report(Stage.SANDBOX_TRIAL, "first"))

    review = review.with_report(a_report(Stage.SANDBOX_TRIAL, "second"))

    assert [finding.rule for finding in review.findings] == ["second"]


def test_another_finding_makes_another_digest() -> None:
    one = Review().with_report(a_report(Stage.QUICK_CHECKS, "a"))
    two = one.with_report(a_report(Stage.STATIC_ANALYSIS, "b"))

    assert one.findings_digest != two.findings_digest
    assert one.findings_digest == Review().with_report(a_report(Stage.QUICK_CHECKS, "a")).findings_digest


def test_severities_weigh_in_the_order_of_their_declaration() -> None:
    weights = [severity.weight for severity in Severity]

    assert weights == sorted(weights)
    assert Severity.CRITICAL.weight > Severity.HIGH.weight > Severity.MEDIUM.weight
