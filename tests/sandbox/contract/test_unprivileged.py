"""Where nothing is allowed, level 1 is still whole: the landlock sandbox in a container without any privilege."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest

from domain.runs import Backend
from sandbox.bubblewrap import launcher_path
from sandbox.profiles.tables import required_of

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).parents[3]
PYTHON = Path(sys.executable).resolve()
"""What our packages were installed for, whatever the system's own is."""
SCRIPTS = {
    "honest": "import asyncio, json\nasync def evaluate_model(model):\n    return [await model.agenerate('x')] * 2",
    "hostile": """
import ctypes, os, socket
def attempt(code):
    try:
        exec(code)
    except OSError:
        return False
    return True
def evaluate_model(model):
    return [code for code in (
        "open('/etc/shadow')", "open('/tmp/state/mine', 'w')", "os.kill(os.getppid(), 9)", "os.kill(1, 9)",
        "os.execv('/bin/sh', ['sh'])", "socket.create_connection(('127.0.0.1', 80), 2)",
        "open('/proc/1/environ')", "os.kill(-1, 9)",
    ) if attempt(code)]
""",
    "bomb": "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "forks": "import os, time\nwhile True:\n    if not os.fork(): time.sleep(60)",
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What a worker in such a container says."""
    packages = Path(pydantic.__file__).parents[1]
    box = (
        launcher_path(), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--unshare-ipc",
        "--tmpfs", "/tmp", "--ro-bind", str(ROOT), "/tmp/app", "--ro-bind", str(packages), "/tmp/packages",
        "--perms", "0777", "--dir", "/tmp/state",
    )  # fmt: skip
    if os.getuid() == 0:
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
        lowered = ("--cap-add", "ALL", *nobody, "--inh-caps=-all", "--bounding-set=-all")
    else:
        lowered = ("--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL")
    program = "/tmp/app/tests/sandbox/contract/in_a_container.py"
    done = subprocess.run(
        [*box, *lowered, str(PYTHON), "-I", program, "/tmp/state", "/tmp/app", "/tmp/packages"],
        input=json.dumps(SCRIPTS), capture_output=True, text=True, timeout=120, env={}, check=False,
    )  # fmt: skip
    if done.returncode != 0 and "bwrap:" in done.stderr:
        pytest.skip(f"no container can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_control_of_level_one_is_in_force(seen: dict[str, Any]) -> None:
    assert seen["isolation"]["level"] == 1
    assert seen["isolation"]["checks"] == dict.fromkeys(required_of(Backend.LANDLOCK), True)
    assert seen["isolation"]["details"]["memory_bounded_by"] == "rlimits, and the runner looks every 50 ms"


def test_an_honest_script_has_its_result_and_a_whole_record(seen: dict[str, Any]) -> None:
    assert (seen["honest"]["outcome"], seen["honest"]["result"]) == ("completed", ["an answer"] * 2)
    assert seen["honest"]["record"]["complete"]
    assert seen["honest"]["record"]["attempts"] == []


def test_a_hostile_script_gets_nowhere_and_is_recorded(seen: dict[str, Any]) -> None:
    assert (seen["hostile"]["outcome"], seen["hostile"]["result"]) == ("completed", [])
    kinds = {each["kind"] for each in seen["hostile"]["record"]["attempts"]}
    assert {"open", "write", "signal", "exec", "connect"} <= kinds


def test_memory_and_processes_are_bounded(seen: dict[str, Any]) -> None:
    assert seen["bomb"]["outcome"] == "memory_limit"
    assert seen["forks"]["outcome"] == "process_limit"


def test_bubblewrap_is_refused_in_one_sentence_and_nothing_is_left(seen: dict[str, Any]) -> None:
    assert "bwrap" in seen["bubblewrap"]
    assert seen["left"] == []
