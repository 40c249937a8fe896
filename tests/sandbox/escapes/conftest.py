from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.environments import Environment
from domain.errors import SandboxUnavailable
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.environment_description import describe_environment
from sandbox.landlock import LandlockSandbox
from sandbox.local.backend import LocalSandbox

BACKENDS: dict[str, type[LocalSandbox]] = {"bubblewrap": BubblewrapSandbox, "landlock": LandlockSandbox}


def reachable_python() -> Path:
    """An interpreter that a user without rights can walk to; a private one is no use to the landlock backend."""
    for candidate in (Path(sys.executable), Path("/usr/bin/python3.11"), Path("/usr/bin/python3")):
        if candidate.exists() and _anybody_may_enter(candidate.resolve()):
            return candidate
    return Path(sys.executable)


def _anybody_may_enter(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


@pytest.fixture(scope="module")
def default_environment() -> Environment:
    return describe_environment("default", reachable_python(), "the standard library alone")


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """A state directory. pytest's own are private, and runs have users of their own."""
    with tempfile.TemporaryDirectory(prefix="airlock-state-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


async def offered(backend: str, environment: Environment, state: Path) -> LocalSandbox:
    """The sandbox, where this machine can offer it; else the test is skipped with the reason."""
    sandbox = BACKENDS[backend]({environment.name: environment}, state)
    try:
        await sandbox.probe()
    except SandboxUnavailable as reason:
        pytest.skip(f"{backend}: {reason}")
    return sandbox
