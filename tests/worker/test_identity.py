"""A worker's identity tells whether it is certainly gone, and says no where it cannot know."""

import os
import subprocess
import sys

from worker.identity import identity, is_gone


def test_a_process_that_lives_is_not_gone() -> None:
    assert not is_gone(identity())
    assert identity() == identity(os.getpid())


def test_a_process_that_was_killed_is_gone_even_before_its_parent_has_noticed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    worker = identity(child.pid)

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert is_gone(worker)
    child.communicate()
    assert is_gone(worker)


def test_another_process_with_the_same_id_is_another_worker() -> None:
    machine, _, _ = identity().rpartition(":")

    assert is_gone(f"{machine}:1")


def test_nothing_is_known_of_other_machines_and_other_names() -> None:
    _, _, began = identity().rpartition(":")

    assert not is_gone(f"elsewhere:4026531836:{os.getpid()}:{began}")
    assert not is_gone("worker-1")
    assert not is_gone("")
