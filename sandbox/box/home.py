"""What a script finds in its scratch space: a work directory with itself alone, and beside it a home with decoys."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = "script.py"
"""What `__file__` says: what is run never comes from there."""
_FOR_ALL, _TO_READ = 0o777, 0o644
"""Whoever lays them out may be another user than the script, and nobody else gets to the scratch space."""


def home_below(scratch: str) -> str:
    """Where libraries look for settings, and thieves for credentials."""
    return f"{scratch}/home"


def work_below(scratch: str) -> str:
    """Where a script begins: an honest one that reads whatever is there meets no decoy."""
    return f"{scratch}/work"


def lay_out(scratch: str, script: bytes, decoys: Mapping[str, str]) -> int:
    """Make both directories, and plant the files by their paths below the home. How many: a small space may be full."""
    mask = os.umask(0)
    planted = 0
    try:
        for directory in (work_below(scratch), home_below(scratch)):
            os.mkdir(directory, _FOR_ALL)
        _plant(f"{work_below(scratch)}/{SCRIPT}", script)
        for path, text in decoys.items():
            planted += _plant(f"{home_below(scratch)}/{path}", text.encode("ascii"))
    finally:
        os.umask(mask)
    return planted


def _plant(path: str, data: bytes) -> bool:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _TO_READ)
        try:
            return os.write(descriptor, data) == len(data)
        finally:
            os.close(descriptor)
    except OSError:
        return False
