"""Many runs: two hundred in a row leave no residue at all, and sixteen at once do not disturb one another."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from domain.environments import Environment
from domain.limits import RunLimits
from domain.model_calls import ModelAnswer, ModelRequest
from domain.outcomes import RunOutcome
from domain.runs import RunPurpose, RunReport, RunRequest
from sandbox.local.backend import LocalSandbox
from sandbox.port import RunEvent
from tests.sandbox.escapes.conftest import BACKENDS, offered

IN_A_ROW = 200
AT_ONCE = 16
HONEST = "import time\ndef evaluate_model(model, n):\n    time.sleep(0.02)\n    return [n, model.generate(str(n))]"
VARIED: tuple[tuple[str, dict[str, int], RunOutcome], ...] = (
    (HONEST, {}, RunOutcome.COMPLETED),
    ("import os\nfor _ in range(2):\n    os.fork()\nopen(str(os.getpid()), 'w').write('x')", {}, RunOutcome.COMPLETED),
    ("raise SystemExit(3)", {}, RunOutcome.NONZERO_EXIT),
    ("while True: print('x' * 9999)", {"output_bytes": 4096}, RunOutcome.OUTPUT_LIMIT),
    ("import os\nos.makedirs('a/b/c')\nos.kill(os.getpid(), 9)", {}, RunOutcome.SIGNALLED),
)
pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.parametrize("backend", BACKENDS)]


async def performed(sandbox: LocalSandbox, number: int, script: str, limits: dict[str, int]) -> RunReport:
    async def answer(request: ModelRequest) -> ModelAnswer:
        return ModelAnswer(call=request.call, text=f"answer to {request.messages[-1].content}")

    async def watch(_: RunEvent) -> None:
        return None

    request = RunRequest(
        run_id=f"row-{number}",
        purpose=RunPurpose.TRIAL,
        script=script.encode(),
        model_id="mock",
        environment="default",
        params={"n": number},
        timeout_seconds=30,
        limits=RunLimits(**limits),
    )
    return await sandbox.run(request, answer=answer, watch=watch, stop=asyncio.Event())


def what_there_is(state: Path) -> dict[str, object]:
    """Whatever a run could leave: our descriptors, children and tasks, files, mounts, groups, shared memory."""
    own = os.getpid()
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "children": Path(f"/proc/{own}/task/{own}/children").read_text(),
        "tasks": len(asyncio.all_tasks()),
        "files": sorted(str(path) for path in state.rglob("*")),
        "mounts": sum(str(state) in line for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "shared memory": len(Path("/proc/sysvipc/shm").read_text().splitlines()),
        "processes": sum(_comes_from(process, own) for process in Path("/proc").iterdir() if process.name.isdigit()),
    }


def _comes_from(process: Path, ancestor: int) -> bool:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1]) == ancestor
    except OSError:
        return False


async def test_two_hundred_runs_in_a_row_leave_no_residue(backend: str, default_environment: Environment, state: Path):
    sandbox = await offered(backend, default_environment, state)
    await performed(sandbox, 0, HONEST, {})
    before = what_there_is(state)
    outcomes: Counter[bool] = Counter()

    for number in range(IN_A_ROW):
        script, limits, outcome = VARIED[number % len(VARIED)]
        report = await performed(sandbox, number, script, limits)
        outcomes[report.outcome is outcome] += 1

    assert outcomes == {True: IN_A_ROW}
    assert what_there_is(state) == before


async def test_sixteen_at_once_do_not_disturb_one_another(backend: str, default_environment: Environment, state: Path):
    sandbox = await offered(backend, default_environment, state)
    scripts = [VARIED[0] if number % 2 else VARIED[1 + number // 2 % 4] for number in range(AT_ONCE)]

    reports = await asyncio.gather(
        *(performed(sandbox, number, script, limits) for number, (script, limits, _) in enumerate(scripts))
    )

    assert [report.outcome for report in reports] == [outcome for _, _, outcome in scripts]
    honest = {number: report.result for number, report in enumerate(reports) if scripts[number] is VARIED[0]}
    assert honest == {number: [number, f"answer to {number}"] for number in honest}
    assert len({report.run_id for report in reports}) == AT_ONCE
