"""What must be so after a hostile script: each part of the oracle says what is wrong, or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.outcomes import RunOutcome
from domain.runs import Attempt, Backend, RunReport
from sandbox.escape_cases import EscapeCase
from sandbox.profiles.tables import gives

HONEST_RESULT = {"sum": 499500}
"""What the neighbour returns."""
_WITHOUT_RECORD = frozenset({"carries_decoy", "ends_early", "makes_forbidden_call", "uses_up_limit"})
"""Rules about what leaves a run and about its end."""


@dataclass(frozen=True)
class CaseResult:
    """What came of one case."""

    case: EscapeCase
    report: RunReport | None
    """None where the run was cancelled, or the sandbox failed."""
    complaints: tuple[str, ...]
    """Why the sandbox did not hold; empty where it did."""
    seconds: float
    printed: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether everything was as it must be."""
        return not self.complaints


def wrong_about_end(case: EscapeCase, report: RunReport | None, backend: Backend) -> Iterable[str]:
    """It ended as expected, and says itself that nothing worked. `report` is None where it was cancelled."""
    outcome = "cancelled" if report is None else report.outcome.value
    right = case.outcomes | (case.own_kernel if backend is Backend.GVISOR else frozenset[str]())
    if outcome not in right:
        message = "" if report is None else report.message[:200]
        yield f"it ended as {outcome}, not as {' or '.join(sorted(right))}: {message!r}"
    if report is not None and isinstance(report.result, dict) and report.result.get("escaped") is True:
        yield f"it says that it got out: {str(report.result)[:300]}"


def wrong_about_record(
    case: EscapeCase, report: RunReport, backend: Backend, unrecorded: frozenset[str] = frozenset()
) -> Iterable[str]:
    """What it tried is in the record, behind every wall that was asked for. `unrecorded` calls need not be."""
    if report.reached_script and not (report.isolation.checks and all(report.isolation.checks.values())):
        yield "a control was not in force"
    if report.isolation.backend is not backend:
        yield f"it ran in {report.isolation.backend}"
    if not gives(backend, "attempts"):
        return
    for wanted in case.attempts:
        found = any(is_attempt(each, wanted) for each in report.record.attempts)
        if not found and is_recorded(wanted, unrecorded):
            seen = ", ".join(f"{each.kind}:{each.target}" for each in report.record.attempts[:12])
            yield f"{wanted} is not in the record; what is there: {seen}"
    if case.incomplete and report.record.complete:
        yield "its record says that it is complete"
    killed_whole = backend is Backend.KUBERNETES and not report.receipt and report.outcome is RunOutcome.MEMORY_LIMIT
    may_lack = case.incomplete or case.interrupt is not None or killed_whole  # a pod's kernel kills its runner too
    if not may_lack and not report.record.complete:
        yield f"its record is incomplete ({report.record.dropped} dropped)"


def findings_wanted(case: EscapeCase, backend: Backend) -> frozenset[str]:
    """The rules that behavioural analysis has to name; where nothing is recorded, those that need no record."""
    return case.findings if gives(backend, "attempts") else case.findings & _WITHOUT_RECORD


def wrong_about_neighbour(neighbour: CaseResult) -> Iterable[str]:
    """The honest run beside it ended with its right result."""
    if not neighbour.held:
        yield f"an honest run beside it was disturbed: {'; '.join(neighbour.complaints)}"
    elif neighbour.report is None or neighbour.report.result != HONEST_RESULT:
        yield "an honest run beside it has another result than its own"


def is_attempt(attempt: Attempt, wanted: str) -> bool:
    """Whether an attempt is the one that a case's head names: `kind`, or `kind:part of the target`."""
    kind, _, part = wanted.partition(":")
    return attempt.kind == kind and part in attempt.target


def is_recorded(wanted: str, unrecorded: frozenset[str]) -> bool:
    """Whether an attempt that a case's head names can be in the record of a sandbox."""
    return wanted.partition(":")[2] not in unrecorded
