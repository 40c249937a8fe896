"""One rule of the table: what a finding weighs, what it means, and how an honest author writes it instead."""

from __future__ import annotations

from dataclasses import dataclass

from domain.findings import Severity

INFO, LOW, MEDIUM, HIGH, CRITICAL = Severity


@dataclass(frozen=True)
class RunExample:
    """What was seen of a run: the example of a rule about runs."""

    tried: tuple[str, ...] = ()
    """Attempts, `kind target` each. They were refused, but for those that begin with `+`."""
    times: int = 1
    """How often each of them was made."""
    outcome: str = "completed"
    printed: str = ""
    """Where it says DECOY, a decoy secret of the script was printed."""
    script: bytes = b"import socket, subprocess"
    """Its text, which matters where a run does what its text hides."""


def tried(*attempts: str, times: int = 1) -> RunExample:
    """A run that tried this."""
    return RunExample(attempts, times)


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
    noticed: bytes | RunExample | None = None
    """A script, or a run, that the rule notices. None: it is about bounds; a test of its own shows it."""
    left_alone: bytes | RunExample | None = None
    """One close by that the rule leaves alone."""
