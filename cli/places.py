"""Where runs of this machine find what they need: below the state directory, or where their own users can go."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

OPEN = Path("/var/lib/airlock")
"""For root alone: everybody may enter it, and nobody else may write there."""
_OTHERS_MAY_ENTER = 0o001


def place_for_runs(state: Path, open_place: Path = OPEN) -> Path:
    """The directory of environments and of scratch space that goes with a state directory.

    As root, each run gets a user of its own. Below a closed directory, such as root's home, that user could not even
    reach the interpreter: then it is a directory of its own in `open_place`. Keys and databases stay in `state`.
    """
    state = state.absolute()
    if os.getuid() != 0 or all(_is_open(parent) for parent in state.parents):
        return state
    return open_place / hashlib.sha256(os.fsencode(state)).hexdigest()[:16]


def make_place(directory: Path) -> None:
    """Make a directory, and those above it, so that the users of runs can go through, whatever our own umask is."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(0o711)


def _is_open(directory: Path) -> bool:
    try:
        return bool(directory.stat().st_mode & _OTHERS_MAY_ENTER)
    except FileNotFoundError:
        return True  # it is made later, by us
