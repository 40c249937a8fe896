"""A scratch directory goes, whatever its script has made of it."""

from __future__ import annotations

import os
from pathlib import Path

from sandbox.local.scratch import make_scratch, remove_tree


def test_names_that_lie_in_the_way_of_the_removal_do_not_stop_it(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    for number in range(3):
        (scratch / f".removed-{os.getpid()}-{number}" / "full").mkdir(parents=True)
    (scratch / "a" / "b" / "c").mkdir(parents=True)

    remove_tree(scratch)

    assert not scratch.exists()


def test_closed_directories_and_odd_names_go(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "a" / "b\nc").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(scratch / "a") + b"/\xff")).touch()
    os.mkfifo(scratch / "pipe")
    (scratch / "dangling").symlink_to("/nowhere")
    (scratch / "a" / "b\nc").chmod(0)
    (scratch / "a").chmod(0)

    remove_tree(scratch)

    assert not scratch.exists()


def test_what_a_killed_worker_left_under_the_same_name_is_cleared_away(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "old").mkdir(parents=True)

    make_scratch(scratch, None)

    assert list(scratch.iterdir()) == []
