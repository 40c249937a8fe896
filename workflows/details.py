"""What the Web UI shows of an evaluation while it is under way and afterwards: what, where and why, as Markdown."""

from __future__ import annotations

import string

from domain.evaluation import Evaluation, StatusReport
from domain.findings import Finding, StageReport
from domain.lifecycle import DEADLINES, Stage, Status, is_terminal
from domain.policy import Policy

MAX_FINDINGS = 20
"""The record has all of them."""
MAX_CELL = 160

_HARMLESS = ",/'\"%;=$^?"
"""Within a line they mean nothing, and the Web UI would show the backslash before them."""
_ESCAPES = str.maketrans(
    {char: f"\\{char}" for char in string.punctuation if char not in _HARMLESS}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)

_WAITS_FOR = {
    Status.QUEUED: "Waits for a validation worker.",
    Status.PENDING_VALIDATION: "Is being reviewed.",
    Status.AWAITING_APPROVAL: "Waits for a person, at most {hours} hours; then it is refused.",
    Status.VALIDATED: "Its review is over; waits for an execution slot.",
    Status.EXECUTING: "Runs in its isolated environment.",
    Status.STOPPING: "A stop was ordered; its processes are being killed.",
}


def summary(evaluation: Evaluation) -> str:
    """One line about an evaluation, for lists: at most 200 bytes."""
    config = evaluation.config
    line = f"{evaluation.model_id} in {config.environment}, {config.timeout} s, {evaluation.script.sha256[:12]}"
    return plain(line, 190).encode()[:200].decode(errors="ignore")


def details(evaluation: Evaluation, report: StatusReport, note: str = "") -> str:
    """Everything that matters now. Words that stem from a script or a signal are escaped."""
    parts = [_headline(report), _why(report, note), _stages(evaluation.policy, report)]
    if report.review.findings:
        parts.append(_findings(report.review.findings))
    if report.status is Status.AWAITING_APPROVAL:
        parts.append(_question(report))
    return "\n\n".join(part for part in parts if part)


def plain(text: str, length: int = MAX_CELL) -> str:
    """Untrusted text as one line that no Markdown renderer takes for anything but text."""
    cut = text if len(text) <= length else text[: length - 3] + "..."
    return "".join(char if char.isprintable() else " " for char in cut).translate(_ESCAPES)


def _headline(report: StatusReport) -> str:
    at = f" in {report.stage}" if report.stage is not None and not is_terminal(report.status) else ""
    return f"**{report.status}**{at}"


def _why(report: StatusReport, note: str) -> str:
    lines = [note] if note else []
    if report.stop is not None:
        by = f" by {plain(report.stop.by)}" if report.stop.by else ""
        lines.append(f"Stop ordered{by}: {plain(report.stop.reason or 'no reason given', 500)}")
    if report.cause is not None:
        stage = f" ({report.cause.stage})" if report.cause.stage else ""
        lines.append(f"`{plain_code(report.cause.code)}`{stage}: {plain(report.cause.message, 500)}")
        if report.cause.evidence:
            lines.append(plain(report.cause.evidence, 500))
    elif report.status in _WAITS_FOR:
        limit = DEADLINES.get(report.status)
        hours = 0 if limit is None else int(limit.total_seconds() // 3600)
        lines.append(_WAITS_FOR[report.status].format(hours=hours))
    return "\n\n".join(lines)


def plain_code(text: str) -> str:
    """Text for a code span: letters, digits and a few signs."""
    return "".join(char for char in text if char.isalnum() or char in "_.-")


def _stages(policy: Policy, report: StatusReport) -> str:
    lines: list[str] = []  # no table: the Web UI draws its columns without a space between them
    for stage in Stage:
        done = report.review.report_of(stage)
        if done is not None:
            lines.append(_stage(policy, done))
        elif stage is report.stage and not is_terminal(report.status):
            lines.append(f"- {stage}: under way")
        elif stage is not report.stage:
            lines.append(f"- {stage}: {'never begun' if is_terminal(report.status) else 'not yet'}")
    return "\n".join(lines)


def _stage(policy: Policy, report: StageReport) -> str:
    count = len(report.findings) + report.findings_dropped
    note = f" ({plain(report.note)})" if report.note else ""
    return f"- {report.stage}: {policy.verdict_of(report)}, {count} finding{'s' * (count != 1)}{note}"


def _findings(findings: tuple[Finding, ...]) -> str:
    shown = sorted(findings, key=lambda finding: -finding.severity.weight)[:MAX_FINDINGS]
    lines = [_finding(found) for found in shown]
    if len(findings) > MAX_FINDINGS:
        lines.append(f"\n{len(findings) - MAX_FINDINGS} more are in its record.")
    return "\n".join(lines)


def _finding(found: Finding) -> str:
    line = "" if found.line is None else f", line {found.line}"
    evidence = f" Seen: {plain(found.evidence)}" if found.evidence else ""
    return f"- **{found.severity}** {plain(found.rule)}{line}: {plain(found.message)}{evidence}"


def _question(report: StatusReport) -> str:
    names = f'\'{{"by": "you", "findings_digest": "{report.findings_digest}"}}\''
    command = f"temporal workflow signal -w {report.evaluation_id} --name"
    return f"```\n{command} approve --input {names}\n{command} reject --input '\"why\"'\n```"
