"""A path is noted as the file that it leads to, and another process's is left as it was written."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.controls.caller import UNREADABLE, Caller, LastingCaller

OWN = os.getpid()


def led(path: str) -> str:
    """A path as it is understood where this process names it in a call."""
    text = ctypes.create_string_buffer(os.fsencode(path))
    return Caller(OWN).path_at(ctypes.addressof(text))


@pytest.mark.parametrize("link", ["/proc/self/cwd", "/proc/thread-self/cwd", f"/proc/{OWN}/cwd"])
def test_a_path_through_a_link_of_its_own_is_the_file_itself(link: str) -> None:
    assert led(f"{link}/credentials") == f"{Path.cwd()}/credentials"
    assert led(link) == str(Path.cwd())
    assert led(f"{link}/../x") == f"{Path.cwd().parent}/x"


def test_a_descriptor_is_the_file_that_is_open(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)

    paths = {led(f"{way}/fd/{directory}/a") for way in ("/proc/self", "/dev")}

    os.close(directory)
    assert paths == {f"{tmp_path}/a"}


@pytest.mark.parametrize(
    "path",
    ["/proc/1/root/etc/shadow", "/proc/1/cwd", "/proc/self/fd/99999", "/proc/self/cwdx", "/proc/\u0663/cwd", "/etc/x"],
)
def test_what_is_not_its_own_stays_as_it_was_written(path: str) -> None:
    assert led(path) == path


def test_a_pipe_has_no_path() -> None:
    reading, writing = os.pipe()

    path = led(f"/proc/self/fd/{reading}")

    os.close(reading)
    os.close(writing)
    assert path == f"/proc/self/fd/{reading}"


def test_the_text_of_a_link_starts_from_the_link() -> None:
    text = ctypes.create_string_buffer(b"../data/x")

    assert Caller(OWN).link_at(ctypes.addressof(text), "/scratch/far/away/link") == "/scratch/far/data/x"


def test_a_name_that_is_no_text_can_be_told_on(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff\r\n")
    odd.mkdir()
    directory = os.open(odd, os.O_RDONLY)

    path = Caller(OWN).directory(directory)

    os.close(directory)
    assert path == f"{tmp_path}/\ufffd\r\n"


@pytest.mark.parametrize("kind", [Caller, LastingCaller])
def test_a_string_is_read_where_it_is_and_as_it_is_now(kind: type[Caller]) -> None:
    text = ctypes.create_string_buffer(b"first", 16)
    caller = kind(OWN)

    first = caller.text_at(ctypes.addressof(text))
    text.value = b"second"

    assert (first, caller.text_at(ctypes.addressof(text))) == ("first", "second")
    assert caller.text_at(1) == UNREADABLE


def test_memory_that_stays_open_is_never_that_of_another_process() -> None:
    command = [sys.executable, "-I", "-c", "import os; os.write(1, b'.'); os.read(0, 1)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        caller = LastingCaller(child.pid)
        address = int(Path(f"/proc/{child.pid}/maps").read_text().split("-")[0], 16)
        there = caller.bytes_at(address, 4)

    assert len(there) == 4
    assert caller.bytes_at(address, 4) == b""
