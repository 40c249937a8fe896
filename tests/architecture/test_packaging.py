from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from domain.lifecycle import TERMINAL

ROOT = Path(__file__).parents[2]
LOCKS = tuple(f"requirements{kind}.lock" for kind in ("", "-dev", "-science", "-aws", "-lambda", "-scanner"))


def names_in(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (ROOT / lock).read_text(), re.MULTILINE))


def asked_for(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    words = [*project["dependencies"], *(word for extra in extras for word in project["optional-dependencies"][extra])]
    return {re.split(r"[\[<>=~]", word)[0].lower().replace("_", "-") for word in words}


def test_whatever_is_required_is_locked() -> None:
    assert asked_for() <= names_in("requirements.lock")
    assert asked_for("dev") <= names_in("requirements-dev.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_hashes_for_everything_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]

    assert "://" not in text
    assert all("--hash=sha256:" in block for block in blocks)


def test_make_help_lists_every_command_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]

    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert {line.split()[1] for line in shown.splitlines()} == phony


def test_the_licence_that_is_named_is_the_one_that_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    licence = " ".join((ROOT / "LICENSE").read_text().split())
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert licence.startswith("Apache License Version 2.0")


def test_the_readme_shows_every_end_of_an_evaluation() -> None:
    readme = (ROOT / "README.md").read_text()

    assert all(status.value in readme for status in TERMINAL)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("api.app", ("sandbox.bubblewrap", "sandbox.landlock", "sandbox.kubernetes", "bandit", "hexora", "kubernetes")),
        ("sandbox.port", ("sandbox.bubblewrap", "sandbox.landlock", "temporalio")),
        ("cli.main", ("temporalio", "sqlalchemy", "fastapi")),
    ],
)
def test_a_fresh_interpreter_loads_nothing_that_it_must_not(module: str, unwanted: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert not set(unwanted) & set(loaded.stdout.split())
