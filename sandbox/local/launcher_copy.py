"""A launcher that the users of runs can execute, wherever the checkout lies: below a closed directory, a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_OTHERS_MAY_ENTER = 0o001


def executable_by_runs(launcher: Path, place: Path) -> Path:
    """`launcher`, or a copy of its package in `place` where only root could reach it. Raises OSError."""
    if os.getuid() != 0 or all(parent.stat().st_mode & _OTHERS_MAY_ENTER for parent in launcher.parents):
        return launcher
    package = launcher.parents[1]
    copy = place / package.name / launcher.relative_to(package)
    if not copy.exists() or copy.stat().st_mtime_ns != launcher.stat().st_mtime_ns:
        _copy(package, place)
    return copy


def _copy(package: Path, place: Path) -> None:
    """The package and the libraries beside it, made elsewhere and then renamed: several workers may start at once."""
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, draft / part.name)
    for directory, _, files in os.walk(draft):
        Path(directory).chmod(0o755)
        for name in files:
            Path(directory, name).chmod(0o755)
    try:
        draft.rename(place)
    except OSError:  # another was faster, or an older one is there: only its own files are replaced
        shutil.copytree(draft, place, dirs_exist_ok=True)
        shutil.rmtree(draft)
