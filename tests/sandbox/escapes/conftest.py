from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.settings import operator_settings
from detection.behaviour.watch import findings_of
from domain.environments import Environment
from domain.errors import SandboxUnavailable
from domain.findings import Severity
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.environment_description import describe_environment
from sandbox.escape_oracle import CaseResult
from sandbox.gvisor import GvisorSandbox
from sandbox.landlock import LandlockSandbox
from sandbox.local.backend import LocalSandbox

BACKENDS: dict[str, type[LocalSandbox]] = {"bubblewrap": BubblewrapSandbox, "landlock": LandlockSandbox}
"""Those that record what a script tries."""
ALL_BACKENDS: dict[str, type[LocalSandbox]] = {**BACKENDS, "gvisor": GvisorSandbox}


def reachable_python() -> Path:
    """An interpreter that a user without rights can walk to; a private one is no use to the landlock backend.

    Nor one below the directory of temporary files, which every sandbox covers with an empty one of its own.
    """
    for candidate in (Path(sys.executable), Path("/usr/bin/python3.11"), Path("/usr/bin/python3")):
        is_covered = candidate.is_relative_to(tempfile.gettempdir())
        if candidate.exists() and not is_covered and _anybody_may_enter(candidate.resolve()):
            return candidate
    return Path(sys.executable)


def _anybody_may_enter(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


@pytest.fixture(scope="module")
def default_environment() -> Environment:
    return describe_environment("default", reachable_python(), "the standard library alone")


@pytest.fixture(scope="module")
def science_environment() -> Environment:
    """What `make science` has made, where the settings say."""
    described = operator_settings().environments / "science.json"
    if described.exists():
        return Environment.model_validate_json(described.read_bytes())
    words = f"there is no {described}: make science"
    if os.environ.get("AIRLOCK_REQUIRE_SCIENCE") == "1":
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """A state directory. pytest's own are private, and runs have users of their own."""
    with tempfile.TemporaryDirectory(prefix="airlock-state-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


async def offered(backend: str, environment: Environment, state: Path) -> LocalSandbox:
    """The sandbox. Where this machine cannot offer it the test is skipped with the reason, or fails if it has to."""
    sandbox = ALL_BACKENDS[backend]({environment.name: environment}, state)
    try:
        await sandbox.probe()
    except SandboxUnavailable as reason:
        words = f"{backend}: {reason}"
        if os.environ.get("AIRLOCK_REQUIRE_SANDBOXES") == "1" and backend in BACKENDS:
            pytest.fail(words)
        pytest.skip(words)
    return sandbox


def assert_honest(result: CaseResult) -> None:
    """It ended well, with its right result, and nothing that it did is worth a person's time."""
    assert result.complaints == ()
    assert result.report is not None
    assert isinstance(result.report.result, dict)
    assert result.report.result["right"] is True, result.report.result
    findings = findings_of(result.case.script, result.report, result.printed, result.prompts)
    assert [found for found in findings if found.severity.weight >= Severity.MEDIUM.weight] == []
