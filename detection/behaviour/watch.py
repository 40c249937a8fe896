"""Behavioural analysis: findings from what a run tried, one attempt at a time or from its whole record. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from detection.behaviour import files, network, processes
from detection.notes import printable
from detection.rules import RULES, Rule
from detection.stage_reports import finding
from domain.findings import Finding
from domain.runs import Attempt, RunRecord

SCAN_ADDRESSES = 8
"""A client with retries tries a few addresses of one name; a scan tries many."""
MANY_REFUSED_PROCESSES = 50
_NETWORK_WORDS = (b"socket", b"urllib", b"http", b"requests", b"ftp", b"smtp", b"telnet", b"download", b"load_dataset")

_Judge = Callable[[Attempt], Rule | None]


def _always(rule: str) -> _Judge:
    def judge(_: Attempt) -> Rule:
        return RULES[rule]

    return judge


JUDGES: Mapping[str, _Judge] = MappingProxyType(
    {
        "open": files.open_rule,
        "write": files.write_rule,
        "exec": processes.exec_rule,
        "socket": network.socket_rule,
        "connect": network.connect_rule,
        "bind": network.bind_rule,
        "process": processes.process_rule,
        "signal": processes.signal_rule,
        "limits": processes.limits_rule,
        "memory": processes.memory_rule,
        "kernel": processes.kernel_rule,
        "ptrace": _always("traces_process"),
        "namespace": _always("enters_namespace"),
        "identity": _always("changes_identity"),
        "seccomp": _always("tampers_with_runner"),
        "time": _always("calls_kernel_feature"),
    }
)
"""Which rule judges which kind of attempt."""


class BehaviourWatch:
    """Watches one run. `see` is for whoever wants to stop it at once; `conclude` tells everything."""

    def __init__(self, script: bytes = b"") -> None:
        self._script = script
        """Its bytes are only searched, never parsed."""
        self._seen: dict[tuple[str, str], Finding] = {}
        self._addresses: set[str] = set()
        self._refused_processes = 0

    def see(self, attempt: Attempt) -> Finding | None:
        """The finding that an attempt is, None where it is none. The same attempt again is the same finding."""
        self._count(attempt)
        judge = JUDGES.get(attempt.kind, _unknown_kind)
        rule = judge(attempt)
        if rule is None:
            return None
        return self._keep(rule, f"{attempt.kind} {attempt.target}", attempt)

    def conclude(self, record: RunRecord) -> tuple[Finding, ...]:
        """Every finding of the run, those that were seen before included, the heaviest first."""
        for attempt in record.attempts:
            self.see(attempt)
        found = [*self._seen.values(), *self._about_the_whole()]
        return tuple(sorted(found, key=lambda each: -each.severity.weight))

    def _count(self, attempt: Attempt) -> None:
        address = network.address_of(attempt)
        if address is not None:
            self._addresses.add(address)
        if attempt.kind == "process" and not attempt.allowed:
            self._refused_processes += attempt.count

    def _keep(self, rule: Rule, evidence: str, attempt: Attempt) -> Finding:
        known = self._seen.get((rule.id, attempt.target))
        if known is None:
            answer = "allowed" if attempt.allowed else "refused"
            known = finding(rule, f"after {attempt.at_ms} ms, {answer}", evidence=printable(evidence, 250))
            self._seen[rule.id, attempt.target] = known
        return known

    def _about_the_whole(self) -> Iterable[Finding]:
        if len(self._addresses) >= SCAN_ADDRESSES:
            yield finding(RULES["scans_network"], f"{len(self._addresses)} addresses")
        if self._refused_processes >= MANY_REFUSED_PROCESSES:
            yield finding(RULES["starts_many_processes"], f"{self._refused_processes} refused")
        if self._addresses and self._script and not any(word in self._script for word in _NETWORK_WORDS):
            yield finding(RULES["hides_network_code"])


def _unknown_kind(attempt: Attempt) -> Rule | None:
    """A kind that this table does not know yet: what was refused must not pass unnoticed."""
    return None if attempt.allowed else RULES["tries_something_else"]
