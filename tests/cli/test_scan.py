from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.scan import scan

HONEST = "def evaluate_model(model):\n    return len(model.generate('exec'))\n"
HOSTILE = "import os\n\ndef evaluate_model(model):\n    m = os\n    return m.popen('id').read()\n"

app = typer.Typer()
app.command()(scan)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "honest.py").write_text(HONEST)
    (tmp_path / "hostile.py").write_text(HOSTILE)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    return tmp_path


def ran(*arguments: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(app, arguments, input=stdin)


def test_an_approved_script_ends_well(folder: Path):
    result = ran(str(folder / "honest.py"))

    assert result.exit_code == 0
    assert "honest.py: approved" in result.stdout


def test_a_directory_gives_one_json_line_per_script(folder: Path):
    result = ran("--json", str(folder))

    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [Path(each["path"]).name for each in records] == ["honest.py", "hostile.py"]
    assert [each["verdict"] for each in records] == ["approved", "rejected"]
    found = next(each for each in records[1]["findings"] if each["rule"] == "hidden_process")
    assert (found["line"], found["snippet"]) == (5, "return m.popen('id').read()")
    assert found["instead"]


def test_standard_input_is_a_script_too():
    assert ran("-", stdin=HONEST).exit_code == 0
    assert ran("-", stdin=b"x = 1\0").exit_code == 1


def test_a_module_that_is_not_installed_here_is_no_finding():
    assert ran("-", stdin="import some_module_that_nobody_has\n").exit_code == 0


def test_sarif_names_rules_lines_and_the_honest_way(folder: Path):
    log = json.loads(ran("--sarif", str(folder)).stdout)

    run = log["runs"][0]
    assert log["version"] == "2.1.0"
    assert "hidden_process" in {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    (result,) = [each for each in run["results"] if each["ruleId"] == "hidden_process"]
    assert result["level"] == "error"
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 5


def test_an_operators_policy_is_used(folder: Path):
    table = folder / "policy.toml"
    table.write_text('version = "lenient"\n[rules]\nhidden_process = "approved"\n"bandit.B605" = "approved"\n')

    result = ran("--policy", str(table), str(folder / "hostile.py"))

    assert "hostile.py: rejected" not in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [["nowhere.py"], ["package"], ["--json", "--sarif", "honest.py"], ["--policy", "nowhere.toml", "honest.py"], []],
)
def test_misuse_is_told_apart(folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)

    result = ran(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""


def test_names_of_files_move_no_cursor(tmp_path: Path):
    (tmp_path / "a\x1b[2Jb.py").write_text(HONEST)

    assert "\x1b" not in ran(str(tmp_path)).stdout
