"""Reads the cases of the escape suite: hostile scripts whose first lines say what must come of them.

    # group: network                            the folder's name
    # notes: credentials of the cloud           what is tried, in a few words
    # outcomes: completed exception             any of them is right
    # own_kernel: signalled                     is right too in a kernel of the run's own
    # attempts: connect:169.254.169.254         must be in the record: kind, or kind and a part of the target
    # findings: contacts_metadata_service       rules that behavioural analysis must name
    # limits: processes=16                      instead of the defaults
    # timeout: 4                                seconds
    # only: bubblewrap                          the backends that promise it
    # twice: yes                                run twice: the second run must find nothing of the first
    # record: incomplete                        the record must say that it is
    # interrupt: stop                           what is done to it when it prints `ready`: stop, kill, cancel; or before

    # slow: yes                                 takes its whole time by its nature: left out by `airlock doctor --quick`

A case is harmless even where it succeeds: it touches only what `host_canaries` made for it. It returns
{"escaped": whether anything worked}. The cases are installed with the code: tests and `airlock doctor` try the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from domain.limits import RunLimits

_LINE = re.compile(rb"^# (\w+): (.+)$")
_KEYS = frozenset(
    {"group", "notes", "outcomes", "attempts", "findings", "limits", "timeout", "only", "twice", "record", "interrupt"}
    | {"slow", "own_kernel"}
)
CASES = Path(__file__).parent / "escapes"
"""Where they are: a folder for each group."""
NEIGHBOUR = CASES / "neighbour" / "honest_neighbour.honest"
"""The honest script that runs beside each of them."""
_DEFAULT_TIMEOUT = 10.0


@dataclass(frozen=True)
class EscapeCase:
    """One hostile script and what must come of it."""

    name: str
    """`group/file`."""
    script: bytes
    notes: str
    outcomes: frozenset[str]
    """Values of RunOutcome, or `cancelled`."""
    attempts: tuple[str, ...] = ()
    findings: frozenset[str] = frozenset()
    limits: RunLimits = field(default_factory=RunLimits)
    timeout: float = _DEFAULT_TIMEOUT
    only: frozenset[str] = frozenset()
    """Empty: every backend."""
    twice: bool = False
    incomplete: bool = False
    interrupt: str | None = None
    slow: bool = False
    own_kernel: frozenset[str] = frozenset()
    """Outcomes that are right besides in a kernel of the run's own."""

    def concerns(self, backend: str) -> bool:
        """Whether a backend promises to hold against it."""
        return not self.only or backend in self.only


def read_cases(directory: Path = CASES) -> tuple[EscapeCase, ...]:
    """Every case below a directory, by name. Raises ValueError where a head says what nobody understands."""
    return tuple(read_case(file) for file in sorted(directory.glob("*/*.hostile")))


def read_case(file: Path) -> EscapeCase:
    """One case."""
    script = file.read_bytes()
    head = dict(_head(script.splitlines(), file))
    if not {"group", "notes", "outcomes"} <= head.keys() <= _KEYS or head["group"] != file.parent.name:
        raise ValueError(f"{file.name}: its head is not one of the suite's")
    return EscapeCase(
        name=f"{file.parent.name}/{file.stem}",
        script=script,
        notes=head["notes"],
        outcomes=frozenset(head["outcomes"].split()),
        attempts=tuple(head.get("attempts", "").split()),
        findings=frozenset(head.get("findings", "").split()),
        limits=_limits(head.get("limits", "")),
        timeout=float(head.get("timeout", _DEFAULT_TIMEOUT)),
        only=frozenset(head.get("only", "").split()),
        twice=head.get("twice") == "yes",
        incomplete=head.get("record") == "incomplete",
        interrupt=head.get("interrupt"),
        slow=head.get("slow") == "yes",
        own_kernel=frozenset(head.get("own_kernel", "").split()),
    )


def _head(lines: list[bytes], file: Path) -> Iterable[tuple[str, str]]:
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            return
        key, value = match.group(1).decode("ascii"), match.group(2).decode("utf-8")
        if key not in _KEYS:
            raise ValueError(f"{file.name}: nobody knows what {key} means")
        yield key, value


def _limits(text: str) -> RunLimits:
    asked = {name: int(value) for name, _, value in (word.partition("=") for word in text.split())}
    return RunLimits(**asked)
