"""What a script keeps on disk is counted, however it is put away."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.box.tree_size import FULL, bytes_below

ROOT = Path(__file__).parents[3]
PYTHON = "/usr/bin/python3"
MIB = 1 << 20


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="airlock-size-") as directory:
        Path(directory).chmod(0o755)
        scratch = Path(directory) / "scratch"
        scratch.mkdir()
        yield scratch


def counted_by_its_owner(place: Path, prepared: str) -> tuple[int, str]:
    """The size as the owner counts it, who is not root, and the modes of the directories after that."""
    uid = 60_910 if os.getuid() == 0 else None
    if uid is not None:
        os.chown(place, uid, uid)
    program = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from sandbox.box.tree_size import bytes_below
os.chdir({str(place)!r})
{prepared}
print(bytes_below({str(place)!r}), *(oct(os.stat(name).st_mode & 0o777) for name in sorted(os.listdir("."))))
"""
    done = subprocess.run(
        [PYTHON, "-I", "-c", program], user=uid, group=uid, capture_output=True, text=True, check=True
    )
    size, _, modes = done.stdout.strip().partition(" ")
    return int(size), modes


@pytest.mark.parametrize("mode", ["0o300", "0o100", "0o000", "0o600"])
def test_a_directory_that_its_owner_has_closed_is_counted_and_left_closed(mode: str, place: Path) -> None:
    prepared = f"os.makedirs('a/b'); open('a/b/c', 'wb').write(bytes({MIB})); os.chmod('a', {mode})"

    size, modes = counted_by_its_owner(place, prepared)

    assert MIB <= size < 2 * MIB
    assert modes == oct(int(mode, 8))


def test_what_lies_deeper_than_a_path_can_say_is_counted(place: Path) -> None:
    prepared = f"""
here = os.open('.', os.O_RDONLY)
for _ in range(40):
    os.mkdir('d' * 250)
    os.chdir('d' * 250)
open('deep', 'wb').write(bytes({MIB}))
os.fchdir(here)
"""

    size, _ = counted_by_its_owner(place, prepared)

    assert MIB <= size < 2 * MIB


def test_more_entries_than_anybody_needs_are_as_much_as_anything(place: Path) -> None:
    for number in range(11):
        (place / str(number)).symlink_to("x")

    assert bytes_below(str(place), 11) < MIB
    assert bytes_below(str(place), 10) == FULL


def test_links_are_not_followed_and_what_is_not_there_has_no_size(place: Path) -> None:
    (place / "link").symlink_to("/usr")

    assert bytes_below(str(place)) < MIB
    assert bytes_below(str(place / "nowhere")) == 0
