"""The commands as a shell sees them: a real process against a real server on loopback, which says what a test wants."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.servers import EVALUATION, an_event

ROOT = Path(__file__).parents[2]
WITHIN = 60
HOSTILE = "\x1b[2J\x1b]0;title\x07[bold red]x[/] [link=https://evil.example]y[/link] \u202eabc\r\x9b31m \ud800 größer"
"""Markup, colours, titles, the screen, the direction of writing, half a pair, and honest letters."""
Answers = dict[str, tuple[int, object]]


class Server(ThreadingHTTPServer):
    """Answers each path as `answers` says; anything that is text is a stream."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: Answers = {}
        self.seen: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - the base class says less

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0].removeprefix("/api/v1/")
        self.server.seen.append((self.command, path, content))
        status, body = self.server.answers.get(path, (404, {"code": "not_found", "detail": "There is none."}))
        written = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Retry-After", "9")
        self.send_header("Content-Type", "text/event-stream" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    do_POST = do_GET  # noqa: N815 - the base class calls it so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass


@pytest.fixture
def server() -> Generator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


Airlock = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def airlock(server: Server, tmp_path: Path) -> Airlock:
    def ran(*words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
        own = {"PATH": os.defpath, "AIRLOCK_URL": server.url, "AIRLOCK_API_KEY": "k", **environment}
        command = (sys.executable, "-m", "cli", *words)
        return subprocess.run(
            command, input=stdin, capture_output=True, cwd=tmp_path, env=own, timeout=WITHIN, check=False
        )

    return ran


def a_status(status: str, **more: Any) -> dict[str, Any]:
    return {"evaluation_id": EVALUATION, "status": status, "stage": "sandbox_trial", "verdict": None, **more}


def accepted(*events: str, ended: str) -> Answers:
    """A server that takes a submission, streams `events`, and says `ended`."""
    here = f"evaluations/{EVALUATION}"
    return {
        "evaluations": (202, a_status("queued")),
        f"{here}/events": (200, "".join(events)),
        f"{here}/status": (200, a_status(ended)),
        f"{here}/result": (200, a_status(ended, result={"right": 1})),
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("completed", 0),
        ("failed", 1),
        ("timed_out", 1),
        ("validation_failed", 1),
        ("stopped", 1),
        ("error", 6),
        ("awaiting_approval", 7),
    ],
)
def test_the_exit_code_of_a_followed_submission_tells_how_it_ended(
    server: Server, airlock: Airlock, status: str, code: int
) -> None:
    server.answers = accepted(an_event(1, "status", status=status), ended=status)

    ran = airlock("submit", "-", "--model", "mock", "--watch", stdin=b"print(1)\n")

    assert ran.returncode == code, ran.stderr
    assert f"status: {status}" in ran.stderr.decode()


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((401, {"code": "unauthorized", "detail": "Send a valid API key."}), 3, "(401 unauthorized)"),
        ((403, {"code": "forbidden", "detail": "Not with this key."}), 3, "(403 forbidden)"),
        ((404, {"code": "not_found", "detail": "There is none."}), 4, "(404 not_found)"),
        ((429, {"code": "rate_limited", "detail": "Too many."}), 3, "Try again in 9 s."),
        ((503, {"code": "database_away", "detail": "Nothing was accepted."}), 5, "Nothing was accepted."),
        ((200, "<html>another server's page</html>"), 5, "is no Airlock"),
    ],
)
def test_each_refusal_is_one_line_and_its_own_exit_code(
    server: Server, airlock: Airlock, answer: tuple[int, object], code: int, words: str
) -> None:
    server.answers = {"evaluations": answer}

    ran = airlock("list")

    assert (ran.returncode, ran.stdout) == (code, b"")
    assert words in ran.stderr.decode()
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"AIRLOCK_URL": "http://127.0.0.1:9"}, 5),
        ({"AIRLOCK_URL": "http://[::1"}, 2),
        ({"AIRLOCK_URL": "nonsense"}, 5),
        ({"AIRLOCK_API_KEY": "schlüssel"}, 2),
    ],
)
def test_an_address_or_a_key_that_cannot_work_is_one_line(
    airlock: Airlock, settings: dict[str, str], code: int
) -> None:
    ran = airlock("list", **settings)

    assert ran.returncode == code
    assert ran.stderr.startswith(b"airlock: ")
    assert b"Traceback" not in ran.stderr


def hostile_answers() -> Answers:
    here = f"evaluations/{EVALUATION}"
    cause = {"code": "exception", "message": HOSTILE, "evidence": HOSTILE, "retryable": False}
    found = [{"severity": "high", "rule": HOSTILE, "line": 1, "message": HOSTILE}]
    status = a_status("failed", cause=cause, findings=found, message=HOSTILE)
    lines = {"entries": [{"stage": "pod_execution", "stream": "stdout", "text": HOSTILE}], "next_cursor": "c"}
    return {
        "evaluations": (200, {"evaluations": [{**status, "model_id": HOSTILE, "cause": {"code": HOSTILE}}],
                              "next_cursor": None}),
        here: (200, status),
        f"{here}/status": (200, status),
        f"{here}/result": (200, {**status, "result": {HOSTILE: HOSTILE}, "outcome": HOSTILE}),
        f"{here}/stop": (202, status),
        f"{here}/approve": (202, status),
        f"{here}/reject": (202, status),
        f"{here}/logs": (200, lines),
        f"{here}/events": (200, an_event(1, "log", text=HOSTILE) + an_event(2, "finding", message=HOSTILE, rule="r")
                           + an_event(3, "stop", reason=HOSTILE) + an_event(4, "status", status="failed", cause=cause)),
        "environments": (200, {"environments": [{"name": HOSTILE, "description": HOSTILE}]}),
        "models": (200, {"models": [{"model_id": HOSTILE, "provider": HOSTILE}]}),
    }  # fmt: skip


COMMANDS = [
    ("list",),
    ("status", EVALUATION),
    ("result", EVALUATION),
    ("logs", "--follow", EVALUATION),
    ("stop", EVALUATION),
    ("approve", EVALUATION),
    ("reject", EVALUATION),
    ("environments", "list"),
    ("models",),
]
each_command = pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])


@each_command
def test_untrusted_text_is_shown_without_its_power(server: Server, airlock: Airlock, words: tuple[str, ...]) -> None:
    server.answers = hostile_answers()

    ran = airlock(*words, FORCE_COLOR="1", TERM="xterm-256color")

    shown = (ran.stdout + ran.stderr).decode()
    assert ran.returncode == 0, shown
    assert [power for power in POWERS if power in shown] == []
    assert "[bold red]x[/]" in shown


POWERS = ("\x1b[2J", "\x1b]0;", "\x1b]8;", "\x07", "\x9b", "\u202e", "\r")


@each_command
def test_json_is_ascii_documents_and_nothing_else(server: Server, airlock: Airlock, words: tuple[str, ...]) -> None:
    server.answers = hostile_answers()

    ran = airlock(*words, "--json")

    assert ran.returncode == 0
    assert ran.stdout.isascii()
    assert ran.stdout.splitlines()
    assert all(isinstance(json.loads(line), dict) for line in ran.stdout.splitlines())
    assert b"\x1b" not in ran.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("words", [("list",), ("logs", "--follow", EVALUATION)], ids=lambda words: words[0])
def test_letters_that_the_terminal_lacks_are_numbers(
    server: Server, airlock: Airlock, words: tuple[str, ...], encoding: str
) -> None:
    server.answers = hostile_answers()

    ran = airlock(*words, PYTHONIOENCODING=encoding)

    assert ran.returncode == 0, ran.stderr
    assert ("gr\\xf6\\xdfer" if encoding == "ascii" else "größer") in ran.stdout.decode(encoding)


def test_a_table_for_another_program_folds_nothing(server: Server, airlock: Airlock) -> None:
    page = hostile_answers()["evaluations"][1]
    assert isinstance(page, dict)
    page["evaluations"] = [{**a_status("validation_failed"), "model_id": "m" * 90, "cause": {"code": "c" * 90}}] * 3
    server.answers = {"evaluations": (200, page)}

    lines = airlock("list").stdout.decode().splitlines()

    assert len(lines) == 4
    assert all(line.startswith(EVALUATION) and line.endswith("c" * 90) for line in lines[1:])


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


def test_what_is_submitted_is_the_file_byte_for_byte(server: Server, airlock: Airlock, tmp_path: Path) -> None:
    script = "# größer\r\nprint('x')\t\n"
    (tmp_path / "a b ü.py").write_bytes(script.encode())
    (tmp_path / "c.toml").write_text("timeout = 7\n[params]\nn = 3\n")
    server.answers = accepted(ended="queued")

    ran = airlock("submit", "a b ü.py", "-m", "mock", "-c", "c.toml", "--timeout", "9")

    assert (ran.returncode, ran.stdout.decode()) == (0, f"{EVALUATION}\n")
    sent = json.loads(server.seen[0][2])
    assert sent == {"model_id": "mock", "script": script, "config": {"timeout": 9, "params": {"n": 3}}}


@pytest.mark.parametrize(
    ("name", "content"), [("latin.py", b"# gr\xf6\xdfer\n"), ("big.py", b"#" * 300_000), ("none.py", None)]
)
def test_a_file_that_cannot_be_sent_is_said_and_nothing_is_sent(
    server: Server, airlock: Airlock, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    ran = airlock("submit", name, "--model", "mock")

    assert ran.returncode == 2
    assert name.encode() in ran.stderr
    assert server.seen == []
