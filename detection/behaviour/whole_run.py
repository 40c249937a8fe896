"""Rules about a run as a whole: what only several attempts together, or the script's text beside them, show."""

from __future__ import annotations

from collections.abc import Iterable

from detection.behaviour import network
from detection.behaviour.files import plain_path
from detection.rules import RULES
from detection.sensitive_paths import reveals_sandbox
from detection.stage_reports import finding
from domain.findings import Finding
from domain.outcomes import RunOutcome
from domain.runs import Attempt

SCAN_ADDRESSES = 8
"""A client with retries tries a few addresses of one name; a scan tries many."""
MANY_REFUSED_PROCESSES = 50
MANY_PROBES = 4
"""Different files that tell what a program runs in."""
_NETWORK_WORDS = (b"socket", b"urllib", b"http", b"requests", b"ftp", b"smtp", b"telnet", b"download", b"load_dataset")
_PROCESS_WORDS = (b"subprocess", b"os.", b"system", b"popen", b"spawn", b"exec", b"fork", b"pty", b"Process")
_SHELLS = frozenset({"runs_intruder_tool", "runs_interpreter", "runs_dropped_file"})
_PROGRAMS = frozenset({"runs_intruder_tool", "runs_dropped_file", "runs_program"})
_USED_UP = frozenset(
    {RunOutcome.CPU_LIMIT, RunOutcome.MEMORY_LIMIT, RunOutcome.PROCESS_LIMIT, RunOutcome.OUTPUT_LIMIT}
    | {RunOutcome.DISK_LIMIT, RunOutcome.RESULT_LIMIT}
)


class WholeRun:
    """Adds up the attempts of one run."""

    def __init__(self, script: bytes) -> None:
        self._script = script
        """Its bytes are only searched, never parsed. Empty where it is not known."""
        self._addresses: set[str] = set()
        self._probes: set[str] = set()
        self._refused_processes = 0

    def count(self, attempt: Attempt) -> None:
        """Take one attempt in. Doubles do no harm but to the count of refused processes."""
        address = network.address_of(attempt)
        if address is not None:
            self._addresses.add(address)
        if attempt.kind == "process" and not attempt.allowed:
            self._refused_processes += attempt.count
        if attempt.kind == "open" and reveals_sandbox(plain_path(attempt.target)):
            self._probes.add(attempt.target)

    def findings(self, seen: frozenset[str]) -> Iterable[Finding]:
        """What the sum says. `seen` is the ids of the rules that single attempts have met."""
        if len(self._addresses) >= SCAN_ADDRESSES:
            yield finding(RULES["scans_network"], f"{len(self._addresses)} addresses")
        if self._refused_processes >= MANY_REFUSED_PROCESSES:
            yield finding(RULES["starts_many_processes"], f"{self._refused_processes} refused")
        if len(self._probes) >= MANY_PROBES:
            yield finding(RULES["studies_sandbox"], f"{len(self._probes)} places")
        if self._addresses and seen & _SHELLS:
            yield finding(RULES["opens_reverse_shell"])
        if self._addresses and self._silent_about(_NETWORK_WORDS):
            yield finding(RULES["hides_network_code"])
        if seen & _PROGRAMS and self._silent_about(_PROCESS_WORDS):
            yield finding(RULES["hides_process_code"])

    def _silent_about(self, words: tuple[bytes, ...]) -> bool:
        return bool(self._script) and not any(word in self._script for word in words)


def outcome_findings(outcome: RunOutcome) -> Iterable[Finding]:
    """What the end of a run says about it. Honest scripts end in most ways: nothing here rejects for a limit."""
    if outcome in _USED_UP:
        yield finding(RULES["uses_up_limit"], outcome)
    elif outcome is RunOutcome.EARLY_EXIT:
        yield finding(RULES["ends_early"])
    elif outcome is RunOutcome.FORBIDDEN_OPERATION:
        yield finding(RULES["makes_forbidden_call"])
