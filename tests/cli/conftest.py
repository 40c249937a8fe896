"""The commands as a shell sees them: a real process against a real server on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.cli.scripted_server import Server

ROOT = Path(__file__).parents[2]
WITHIN = 60
"""Seconds after which a command hangs."""
Airlock = Callable[..., subprocess.CompletedProcess[bytes]]


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


@pytest.fixture
def airlock(server: Server, tmp_path: Path) -> Airlock:
    def ran(*words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
        own = {"PATH": os.defpath, "AIRLOCK_URL": server.url, "AIRLOCK_API_KEY": "k", **environment}
        command = (sys.executable, "-m", "cli", *words)
        return subprocess.run(
            command, input=stdin, capture_output=True, cwd=tmp_path, env=own, timeout=WITHIN, check=False
        )

    return ran
