"""What the exit code of a command tells, and that a failure is one line."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from cli.exit_codes import ExitCode
from cli.main import HELP, assembled
from cli.session import Failed
from cli.up import up
from tests.cli.conftest import ROOT, Airlock
from tests.cli.scripted_server import Server, accepted
from tests.cli.servers import an_event
from tests.slices import slice_of_rows


@pytest.mark.parametrize(
    ("status", "code"),
    slice_of_rows(
        [
            ("completed", 0),
            ("failed", 1),
            ("timed_out", 1),
            ("validation_failed", 1),
            ("stopped", 1),
            ("error", 6),
            ("awaiting_approval", 7),
        ],
        every=3,
    ),
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
    slice_of_rows(
        [
            ((401, {"code": "unauthorized", "detail": "Send a valid API key."}), 3, "(401 unauthorized)"),
            ((403, {"code": "forbidden", "detail": "Not with this key."}), 3, "(403 forbidden)"),
            ((404, {"code": "not_found", "detail": "There is none."}), 4, "(404 not_found)"),
            ((429, {"code": "rate_limited", "detail": "Too many."}), 3, "Try again in 9 s."),
            ((503, {"code": "database_away", "detail": "Nothing was accepted."}), 5, "Nothing was accepted."),
            ((200, "<html>another server's page</html>"), 5, "is no Airlock"),
        ],
        every=3,
    ),
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
    slice_of_rows(
        [
            ({"AIRLOCK_URL": "http://127.0.0.1:9"}, 5),
            ({"AIRLOCK_URL": "http://[::1"}, 2),
            ({"AIRLOCK_URL": "nonsense"}, 2),
            ({"AIRLOCK_API_KEY": "schlüssel"}, 2),
        ],
        every=2,
    ),
)
def test_an_address_or_a_key_that_cannot_work_is_one_line(
    airlock: Airlock, settings: dict[str, str], code: int
) -> None:
    ran = airlock("list", **settings)

    assert ran.returncode == code
    assert ran.stderr.startswith(b"airlock: ")
    assert b"Traceback" not in ran.stderr


def test_every_exit_code_is_documented() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    documented = " ".join(readme[readme.index("Exit codes:") :].split())

    for code in ExitCode:
        assert re.search(rf"\b{int(code)} ", documented), code
        assert re.search(rf"\b{int(code)} ", HELP), code


def test_another_servers_document_is_no_acceptance(server: Server, airlock: Airlock) -> None:
    server.answers = {"evaluations": (200, {"welcome": "here"})}

    ran = airlock("submit", "-", "--model", "mock", stdin=b"print(1)\n")

    assert ran.returncode == ExitCode.UNAVAILABLE
    assert b"is no Airlock" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_status_of_a_later_release_is_said_and_not_guessed_at(server: Server, airlock: Airlock) -> None:
    server.answers = accepted(an_event(1, "status", status="completed"), ended="pondering")

    ran = airlock("submit", "-", "--model", "mock", "--watch", stdin=b"print(1)\n")

    assert ran.returncode == ExitCode.UNAVAILABLE
    assert b"does not know" in ran.stderr
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [(("status", b"\xff\xfe"), ExitCode.NOT_FOUND), (("list", "--cursor", b"\xff"), ExitCode.USAGE)],
    ids=["id", "cursor"],
)
def test_words_that_are_no_utf8_are_one_line(airlock: Airlock, words: tuple[str, ...], code: ExitCode) -> None:
    ran = airlock(*words)

    assert ran.returncode == code, ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_every_command_that_answers_has_a_form_for_programs() -> None:
    others = {
        "up", "demo",  # they go on; .airlock/env is for programs
        "export",  # JSON by its nature
        "admin setup", "admin install-cluster", "admin uninstall-cluster",  # their exit code is their answer
        "environments image",  # TOML, as the cluster file takes it
    }  # fmt: skip
    known = commands_of(typer.main.get_command(assembled([])))

    assert {name for name, options in known.items() if "--json" not in options} == others


def commands_of(command: object, words: str = "") -> dict[str, set[str]]:
    """Every command that can be typed, with its options."""
    below = getattr(command, "commands", {})
    if not below:
        return {words: {option for each in getattr(command, "params", ()) for option in each.opts}}
    found = (commands_of(each, f"{words} {name}".strip()) for name, each in below.items())
    return {name: options for each in found for name, options in each.items()}


def test_settings_that_are_damaged_are_said(airlock: Airlock, tmp_path: Path) -> None:
    (tmp_path / ".airlock").mkdir()
    (tmp_path / ".airlock" / "env").write_bytes(b"\xff\xfe\0")

    ran = airlock("list")

    assert ran.returncode == ExitCode.USAGE
    assert ran.stderr.startswith(b"airlock: .airlock/env is damaged")


def test_a_disk_without_room_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=1024**2)

    monkeypatch.setattr("cli.stack.embedded.shutil.disk_usage", full)

    with pytest.raises(Failed, match=r"has 1 MB left, and 64 are needed"):
        up(state=tmp_path / "state")

    assert {each.name for each in (tmp_path / "state").iterdir()} <= {"lock", "children.lock"}
