"""What a stack offers: the models, and the one environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sandbox.environment_description import describe_environment
from tests.e2e.outside import MODEL

PYTHON = Path("/usr/bin/python3")
"""The system's own, where it is young enough: runs have a user of their own, who must be able to read it."""


def models(endpoint: str) -> str:
    """The catalogue: the mock, and a model that is seen from outside."""
    counted = f'[[models]]\nmodel_id = "{MODEL}"\nprovider = "openai_compatible"\nbase_url = "{endpoint}"\n'
    return f'[[models]]\nmodel_id = "mock"\nprovider = "mock"\n{counted}'


def describe_default(environments: Path) -> None:
    """From the system's interpreter where it is young enough, else from this one's."""
    python = PYTHON if PYTHON.exists() and _version(PYTHON) >= (3, 11) else Path(sys.executable)
    default = describe_environment("default", python.resolve(), "the standard library")
    (environments / "default.json").write_text(default.model_dump_json(), "utf-8")


def _version(python: Path) -> tuple[int, ...]:
    shown = subprocess.run([python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, check=True)
    return tuple(map(int, shown.stdout.split()))
