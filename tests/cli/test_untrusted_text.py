"""What scripts and clients wrote is shown by every command without its power over a terminal, and as ASCII in JSON."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Airlock
from tests.cli.scripted_server import Server, a_status, hostile_answers
from tests.cli.servers import EVALUATION
from tests.slices import slice_of

POWERS = ("\x1b[2J", "\x1b]0;", "\x1b]8;", "\x07", "\x9b", "\u202e", "\r")
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
each_command = pytest.mark.parametrize("words", slice_of(COMMANDS, every=3), ids=lambda words: words[0])


@each_command
def test_untrusted_text_is_shown_without_its_power(server: Server, airlock: Airlock, words: tuple[str, ...]) -> None:
    server.answers = hostile_answers()

    ran = airlock(*words, FORCE_COLOR="1", TERM="xterm-256color")

    shown = (ran.stdout + ran.stderr).decode()
    assert ran.returncode == 0, shown
    assert [power for power in POWERS if power in shown] == []
    assert "[bold red]x[/]" in shown


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
