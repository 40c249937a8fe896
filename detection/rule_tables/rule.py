"""One rule of the table: what a finding weighs, what it means, and how an honest author writes it instead."""

from __future__ import annotations

from dataclasses import dataclass

from domain.findings import Severity

INFO, LOW, MEDIUM, HIGH, CRITICAL = Severity


@dataclass(frozen=True)
class Rule:
    """One rule. Its severity never depends on the case: where it should, there are two rules."""

    id: str
    severity: Severity
    why: str
    """What it means, in a sentence."""
    instead: str
    """How an honest author writes it."""
    technique: str | None = None
    """MITRE ATT&CK id, where one fits."""
    noticed: bytes | None = None
    """A script that the rule notices. None: it is about bounds, or about a run; a test of its own shows it."""
    left_alone: bytes | None = None
    """A script, close by, that the rule leaves alone."""
