"""`airlock doctor`: every sandbox that there could be, why not, and whether those that there are hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from domain.runs import Backend
from tests.cli.conftest import ROOT

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]
ONE_CASE = "network/tcp_loopback"
WITHIN = 240
SYSTEM = "/usr/bin:/bin:/usr/sbin:/sbin"


@pytest.fixture(scope="module")
def place() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="airlock-doctor-", dir="/var/tmp") as directory:  # gVisor has its own /tmp
        Path(directory).chmod(0o755)
        yield Path(directory)


def doctor(place: Path, *words: str, path: str = SYSTEM) -> subprocess.CompletedProcess[bytes]:
    own = {"PATH": path, "AIRLOCK_STATE_DIR": str(place / "state")}
    command = (sys.executable, "-I", "-m", "cli", "doctor", *words)
    return subprocess.run(command, capture_output=True, cwd=ROOT, env=own, timeout=WITHIN, check=False)


def sandboxes(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    checks = (each for each in told["checks"] if each["what"].startswith("sandbox "))
    return {each["what"].removeprefix("sandbox "): each for each in checks}


def test_each_sandbox_of_this_machine_is_listed_and_tried(place: Path) -> None:
    ran = doctor(place, "--only", ONE_CASE, "--json")

    told = json.loads(ran.stdout)
    listed = sandboxes(told)
    assert ran.returncode == 0, ran.stderr
    assert set(listed) == {backend.value for backend in Backend} - {Backend.KUBERNETES}
    assert {each["sandbox"] for each in told["suite"]} == {name for name, each in listed.items() if each["good"]}
    assert [(each["cases"], each["held"]) for each in told["suite"]] == [(1, 1)] * len(told["suite"])


def test_what_is_missing_is_said_with_what_to_do(place: Path) -> None:
    with tempfile.TemporaryDirectory() as empty:
        ran = doctor(place, "--only", "no such case", "--json", path=empty)

    gvisor = sandboxes(json.loads(ran.stdout))["gvisor"]
    assert ran.returncode == 0, ran.stderr
    assert not gvisor["good"]
    assert "install runsc" in gvisor["says"]


@pytest.mark.skipif(shutil.which("runsc", path=SYSTEM) is None, reason="there is no runsc here")
def test_gvisor_is_offered_at_level_3(place: Path) -> None:
    ran = doctor(place, "--only", "no such case", "--json")

    gvisor = sandboxes(json.loads(ran.stdout))["gvisor"]
    assert gvisor["good"], gvisor
    assert "level 3" in gvisor["says"]


def test_for_people_it_is_a_table_and_a_line_for_each_sandbox(place: Path) -> None:
    ran = doctor(place, "--only", ONE_CASE)

    assert ran.returncode == 0
    assert b"landlock held against 1 of 1 hostile scripts" in ran.stdout
