"""The Docker engine of this machine, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

ENGINE_BASE = os.environ.get("TEST_IMAGE_BASE")
"""A Debian with Python 3.11 or newer that the engine already has. None: what the Dockerfiles name."""


def require_engine() -> None:
    """Skips where no engine answers."""
    if (
        shutil.which("docker") is None
        or subprocess.run(("docker", "info"), capture_output=True, check=False).returncode
    ):
        pytest.skip("No Docker engine answers here: no image is built.")
