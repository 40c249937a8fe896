"""What a run has in memory is counted whole, and once, whoever shares it; files in scratch space are counted apart."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.box.memory_use import charged_bytes, uses_more_than

MIB = 1 << 20


@pytest.fixture
def family() -> Iterator[int]:
    """A process with 64 MiB, which three children share with it."""
    told, tells = os.pipe()
    ancestor = os.fork()
    if ancestor == 0:
        if os.fork() == 0:
            pages = mmap.mmap(-1, 64 * MIB)
            pages.write(b"x" * len(pages))
            for _ in range(3):
                if os.fork() == 0:
                    pages.seek(0)
                    pages.read()
                    os.write(tells, b".")
                    signal.pause()
        signal.pause()
    for _ in range(3):
        os.read(told, 1)
    yield ancestor
    for each in (ancestor, *_below(ancestor)):
        os.kill(each, signal.SIGKILL)
    os.waitpid(ancestor, 0)


def _below(ancestor: int) -> list[int]:
    from sandbox.box.process_tree import descendants

    return descendants(ancestor)


def test_what_several_share_counts_once(family: int) -> None:
    assert uses_more_than(60 * MIB, family, "/tmp")
    assert not uses_more_than(150 * MIB, family, "/tmp")


@pytest.mark.parametrize(("anonymous", "shared"), [("anon", "shmem"), ("total_rss", "total_shmem")])
def test_a_container_is_charged_for_shared_memory_too(anonymous: str, shared: str, tmp_path: Path) -> None:
    statistics = tmp_path / "memory.stat"
    filled = os.statvfs("/dev/shm")
    files = (filled.f_blocks - filled.f_bfree) * filled.f_frsize
    statistics.write_text(f"{anonymous} {40 * MIB}\nfile 5\n{shared} {files + 30 * MIB}\n")

    charged = charged_bytes("/dev/shm", [(str(statistics), anonymous, shared)])

    assert charged is not None
    assert abs(charged - 70 * MIB) < 8 * MIB  # others write there meanwhile


def test_nothing_is_said_where_no_group_tells(tmp_path: Path) -> None:
    assert charged_bytes("/dev/shm", [(str(tmp_path / "absent"), "anon", "shmem")]) is None
