"""What is submitted is what was written, or nothing is sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, WITHIN, Airlock
from tests.cli.scripted_server import Server, accepted
from tests.cli.servers import EVALUATION


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x7fELF\x02\x01\xff\xfe", "not UTF-8"),
        (b"#" * 300_000, "larger"),
        (b"#" + "ü".encode() * 200_000, "larger"),
    ],
    ids=["binary", "huge", "huge, and cut in a letter"],
)
def test_standard_input_that_cannot_be_sent_is_said(
    server: Server, airlock: Airlock, content: bytes, words: str
) -> None:
    ran = airlock("submit", "-", "--model", "mock", stdin=content)

    assert ran.returncode == 2
    assert words in ran.stderr.decode()
    assert server.seen == []


@pytest.mark.parametrize(
    "config",
    [b"day = 2026-11-27\n", b"timeout = inf\n", b"\xff\xfe", b"timeout = \n", b"a = " + b"[" * 50_000],
    ids=["date", "inf", "bytes", "half", "deep"],
)
def test_a_config_that_is_no_config_is_said_and_nothing_is_sent(
    server: Server, airlock: Airlock, tmp_path: Path, config: bytes
) -> None:
    (tmp_path / "c.toml").write_bytes(config)

    ran = airlock("submit", "-", "--model", "mock", "-c", "c.toml", stdin=b"print(1)\n")

    assert ran.returncode == 2
    assert ran.stderr.startswith(b"airlock: c.toml cannot be used")
    assert server.seen == []


@pytest.mark.parametrize("value", ["nan", "-inf", "1979-05-27"])
def test_what_json_cannot_say_is_named_by_its_place(airlock: Airlock, tmp_path: Path, value: str) -> None:
    (tmp_path / "c.toml").write_text(f"[params]\na = [1, {{b = {value}}}]\n")

    ran = airlock("submit", "-", "--model", "mock", "-c", "c.toml", stdin=b"print(1)\n")

    assert ran.stderr == b"airlock: c.toml cannot be used: params.a.1.b is nothing that JSON has\n"


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "ü"])
def test_an_idempotency_key_that_no_request_can_carry_is_said_and_nothing_is_sent(
    server: Server, airlock: Airlock, key: str
) -> None:
    ran = airlock("submit", "-", "--model", "mock", "--idempotency-key", key, stdin=b"print(1)\n")

    assert (ran.returncode, ran.stderr.splitlines()[0].startswith(b"airlock: An idempotency key")) == (2, True)
    assert server.seen == []


@pytest.mark.parametrize("command", [("submit", "-", "--model", "mock"), ("scan", "-")])
def test_standard_input_that_is_closed_is_said(command: tuple[str, ...]) -> None:
    words = " ".join((sys.executable, "-I", "-m", "cli", *command))

    ran = subprocess.run(["sh", "-c", f"{words} <&-"], capture_output=True, cwd=ROOT, timeout=WITHIN, check=False)

    assert ran.returncode != 0
    assert b"cannot be read: Bad file descriptor" in ran.stdout + ran.stderr


def test_an_empty_script_is_the_servers_to_refuse(server: Server, airlock: Airlock) -> None:
    server.answers = {"evaluations": (400, {"code": "invalid_request", "detail": "script: it is empty"})}

    ran = airlock("submit", "-", "--model", "mock")

    assert (ran.returncode, ran.stdout) == (3, b"")
    assert json.loads(server.seen[0][2])["script"] == ""


def test_a_script_that_is_refused_is_shown_with_the_line_and_what_to_write_instead(
    server: Server, airlock: Airlock, tmp_path: Path
) -> None:
    (tmp_path / "s.py").write_text("import socket\n")
    found = {"rule": "network", "line": 1, "snippet": "import socket \x1b[2J", "instead": "Call the model."}
    server.answers = {"evaluations": (400, {"code": "network", "detail": "It opens sockets.", "errors": [found]})}

    ran = airlock("submit", "s.py", "--model", "mock")

    assert ran.returncode == 3
    assert ran.stderr.decode().splitlines() == [
        "airlock: It opens sockets. (400 network) Try again in 9 s.",
        "  line 1: import socket ",
        "  instead: Call the model.",
    ]


@pytest.mark.parametrize(("has_result", "shown"), [(True, "null"), (False, "No result: a program without")])
def test_a_result_that_is_null_is_told_from_none(
    server: Server, airlock: Airlock, has_result: bool, shown: str
) -> None:
    answer = {"status": "completed", "outcome": "completed", "result": None, "has_result": has_result}
    server.answers = {f"evaluations/{EVALUATION}/result": (200, answer)}

    ran = airlock("result", EVALUATION)

    assert (ran.returncode, ran.stdout.decode().startswith(shown)) == (0, True)
