"""Both static stages in this process, without bandit and without children: for many small scripts."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from detection.quick_checks import quick_checks
from detection.script_analysis import Script, acceptable, own_notes
from detection.stage_reports import finding_of
from domain.findings import Finding

RECURSION_LIMIT = 20_000
"""As in `detection.analysis_child`, whose import would load bandit."""
MODULES = frozenset(sys.stdlib_module_names) | {
    "requests",
    "httpx",
    "yaml",
    "cffi",
    "pip",
    "numpy",
    "pandas",
    "sklearn",
}


def own_findings(source: bytes) -> list[Finding]:
    """What both stages find. Any exception of theirs is a bug."""
    notes = list(quick_checks(source, MODULES).findings)
    script = acceptable(source)
    if isinstance(script, Script):
        with _deep_recursion():
            notes += own_notes(script)
    return [finding_of(each) for each in notes]


@contextmanager
def _deep_recursion() -> Generator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
