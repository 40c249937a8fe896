"""What the record of a run in a pod cannot tell, because the node's container runtime answers first."""

from __future__ import annotations

import re
from pathlib import Path

PROFILE = Path(__file__).parent.parent / "profiles" / "runtime_default.txt"
_REASON = re.compile(r"\s{2,}")


def refused_by_runtime() -> frozenset[str]:
    """The system calls that fail without a record."""
    lines = PROFILE.read_text(encoding="utf-8").splitlines()
    return frozenset(name for line in lines if not line.startswith("#") for name in _REASON.split(line)[0].split())
