"""Who reads may leave, and who types may interrupt: neither is a failure with a trace."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.session import tell
from cli.terminal import ERR
from tests.cli.conftest import ROOT, WITHIN
from tests.cli.scripted_server import Server, a_status
from tests.cli.servers import EVALUATION, an_event


def test_a_reader_who_leaves_early_is_no_failure_with_a_trace(server: Server) -> None:
    here = f"evaluations/{EVALUATION}"
    lines = "".join(an_event(number, "log", text="x" * 1000) for number in range(2000))
    server.answers = {f"{here}/events": (200, lines + an_event(9999, "status", status="completed"))}
    own = {"PATH": os.defpath, "AIRLOCK_URL": server.url, "AIRLOCK_API_KEY": "k"}
    command = f"{sys.executable} -I -m cli logs -f {EVALUATION} | head -1"

    ran = subprocess.run(["sh", "-c", command], capture_output=True, cwd=ROOT, env=own, timeout=WITHIN, check=False)

    assert ran.stdout == b"x" * 1000 + b"\n"
    assert b"Traceback" not in ran.stderr
    assert b"BrokenPipe" not in ran.stderr


def test_an_interrupted_command_ends_quietly_as_a_shell_expects(server: Server, tmp_path: Path) -> None:
    server.answers = {f"evaluations/{EVALUATION}/events": (200, an_event(1, "status", status="queued"))}
    server.answers[f"evaluations/{EVALUATION}/status"] = (200, a_status("queued"))
    own = {"PATH": os.defpath, "AIRLOCK_URL": server.url, "AIRLOCK_API_KEY": "k"}
    as_from_a_terminal = ("env", "--default-signal=INT")  # what a shell starts in the background ignores it for ever
    command = (*as_from_a_terminal, sys.executable, "-I", "-m", "cli", "logs", "-f", EVALUATION)

    with subprocess.Popen(command, cwd=tmp_path, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == b"status: queued\n"
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=WITHIN)
        finally:
            process.kill()

    assert process.returncode == 130
    assert b"Traceback" not in said


def test_who_leaves_an_export_early_is_no_failure_with_a_trace(server: Server) -> None:
    server.answers = {f"evaluations/{EVALUATION}/export": (200, {"journal": ["x" * 1000] * 2000})}
    own = {"PATH": os.defpath, "AIRLOCK_URL": server.url, "AIRLOCK_API_KEY": "k"}
    command = f"{sys.executable} -I -m cli export {EVALUATION} -o - | head -c 10"

    ran = subprocess.run(["sh", "-c", command], capture_output=True, cwd=ROOT, env=own, timeout=WITHIN, check=False)

    assert len(ran.stdout) == 10
    assert ran.stderr == b""


def test_what_is_said_beside_the_answer_is_lost_where_nobody_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def hung_up(*_: object) -> None:
        raise OSError(errno.EIO, "the terminal is closed")

    monkeypatch.setattr(ERR, "print", hung_up)

    tell("A worker ended: it is started again.")


def test_a_pipe_for_messages_that_breaks_ends_nothing() -> None:
    program = "import os; from cli.session import tell; tell('one'); tell('two'); os.write(1, b'went on')"
    reading, writing = os.pipe()
    os.close(reading)

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=writing, check=False)
    os.close(writing)

    assert ran.stdout == b"went on"
