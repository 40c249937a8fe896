"""What honest scripts do must work in every sandbox, and weigh nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from detection.behaviour.watch import BehaviourWatch
from domain.environments import Environment
from domain.findings import Severity
from sandbox.escape_cases import read_case
from sandbox.escape_suite import EscapeSuite
from sandbox.host_canaries import host_canaries
from tests.sandbox.escapes.conftest import BACKENDS, offered

SCRIPTS = sorted((Path(__file__).parent / "honest").glob("*.honest"))


@pytest.mark.sandbox
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
async def test_an_honest_script_gets_its_right_result(
    script: Path, backend: str, state: Path, default_environment: Environment
):
    case = read_case(script)
    sandbox = await offered(backend, default_environment, state)
    async with host_canaries() as canaries:
        result = await EscapeSuite(sandbox, state, default_environment.name, canaries).attempt(case)

    assert result.complaints == ()
    assert result.report is not None
    assert result.report.result == {"right": True}
    findings = BehaviourWatch(case.script).conclude_run(result.report)
    assert [found for found in findings if found.severity.weight >= Severity.MEDIUM.weight] == []
