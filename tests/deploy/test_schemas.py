"""What others read by their own rules keeps those rules: as their published schemas say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def complaints(schema: str, file: Path) -> str:
    """What is wrong with a file. The schemas come with the package: nothing is downloaded."""
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(file))
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("schema", "name"), [("compose-spec", "docker-compose.yml"), ("github-workflows", ".github/workflows/ci.yml")]
)
def test_a_file_keeps_its_schema(schema: str, name: str) -> None:
    assert complaints(schema, ROOT / name) == ""


def test_a_key_that_compose_does_not_know_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text((ROOT / "docker-compose.yml").read_text().replace("read_only:", "readonly:"))

    assert "readonly" in complaints("compose-spec", wrong)
