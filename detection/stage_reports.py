"""Notes of child processes made into findings and stage reports."""

from __future__ import annotations

from collections.abc import Iterable

from detection.notes import Note
from detection.rules import RULES, Rule
from domain.findings import MAX_FINDINGS_PER_STAGE, Finding, Severity, StageReport
from domain.lifecycle import Stage


def finding(rule: Rule, detail: str = "", *, evidence: str = "", severity: Severity | None = None) -> Finding:
    """A finding of `rule` that names no place in the script."""
    return Finding(
        rule=rule.id,
        severity=severity or rule.severity,
        message=f"{rule.why} ({detail})"[:500] if detail else rule.why,
        evidence=evidence[:300],
        technique=rule.technique,
    )


def finding_of(note: Note, severity: Severity | None = None) -> Finding:
    """What a child noted, by the table of rules."""
    made = finding(RULES[note["rule"]], note["detail"], evidence=note["evidence"], severity=severity)
    return made.model_copy(update={"line": note["line"], "column": note["column"]})


def stage_report(stage: Stage, findings: Iterable[Finding]) -> StageReport:
    """The report of a stage: each finding once; where there are too many the lightest are left out, and counted."""
    distinct = list(dict.fromkeys(findings))
    heaviest = sorted(distinct, key=lambda found: -found.severity.weight)[:MAX_FINDINGS_PER_STAGE]
    kept = set(heaviest)
    return StageReport(
        stage=stage,
        findings=tuple(found for found in distinct if found in kept),
        findings_dropped=len(distinct) - len(kept),
    )
