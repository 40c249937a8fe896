"""What a sandbox costs, how soon a stubborn script is dead, and what many runs leave behind.

    .venv/bin/python bench/sandbox.py [rounds, 40 by default]

One run, interleaved rounds, so that a busy machine slows all alike. About four minutes on two quiet processors.
`import pandas` needs `make science`, and is left out with a word where that is missing.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measured import keep, quantiles
from bench.sandbox_runs import (
    FLOOD,
    IMPORT,
    PYTHON,
    SHORT,
    SPINNER,
    Runs,
    WorkerMemory,
    bare_bwrap,
    plain,
    plain_with_runner,
    residue_now,
    science,
)
from cli.settings import operator_settings
from domain.limits import RunLimits
from domain.runs import RunPurpose
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.environment_description import describe_environment
from sandbox.landlock import LandlockSandbox

METHOD = (
    "each round does everything once, in turn: `python -I -c pass`; an interpreter that has the runner's modules and "
    "starts a second one for the script, without wall, record or stream; the same `pass` in bare bubblewrap; and runs "
    "of a script of 50 lines from the request to the report, by which every process is dead and every file gone. A "
    "trial is recorded whole, an execution is not asked about opens for reading. `stop` runs from the stop to the "
    "report, of a script that ignores every signal, double-forks and spins on every processor. The flood is 500 MB "
    "of output, with the worker's resident memory sampled every 20 ms"
)
IN_A_ROW = 200
AT_ONCE = 16
PANDAS_EVERY = 4
"""Rounds: an import takes a second."""


async def main(rounds: int) -> None:
    """Measure, print, and write it down."""
    environments = {"default": describe_environment("default", Path(PYTHON), "")}
    environments |= science(operator_settings().environments)
    with tempfile.TemporaryDirectory(prefix="airlock-bench-") as place:
        state = Path(place)
        state.chmod(0o755)  # noqa: ASYNC240 - nothing else is under way
        boxes = {each.backend.value: each(environments, state) for each in (BubblewrapSandbox, LandlockSandbox)}
        runs = {name: Runs(box) for name, box in boxes.items()}
        for box in boxes.values():
            await box.probe()
        seconds = await interleaved(runs, rounds, pandas="science" in environments)
        bubblewrap = runs["bubblewrap"]
        figures = {
            "rounds": rounds,
            "runs": {name: quantiles(values) for name, values in seconds.items()},
            "over": compared(seconds),
            "flood": await flooded(bubblewrap),
            "in a row": await in_a_row(bubblewrap, state),
            "at once": await at_once(bubblewrap),
        }
    keep("sandbox", METHOD, figures)


async def interleaved(runs: dict[str, Runs], rounds: int, *, pandas: bool) -> dict[str, list[float]]:
    """Seconds of everything that is compared, by name."""
    seconds: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        seconds.setdefault(name, []).append(value)

    for number in range(rounds):
        note("plain", plain())
        note("plain with runner", plain_with_runner())
        note("bare bwrap", bare_bwrap())
        for name, each in runs.items():
            for purpose in RunPurpose:
                note(f"{name} {purpose}", await each.timed(SHORT, purpose))
                if pandas and number % PANDAS_EVERY == 0:
                    note(f"{name} {purpose} import pandas", await each.told(IMPORT, purpose, "science"))
            note(f"{name} stop", await each.stopped(SPINNER))
    return seconds


def compared(seconds: dict[str, list[float]]) -> dict[str, object]:
    """The figures that are promised: differences in milliseconds and ratios, of medians."""
    median = {name: statistics.median(values) for name, values in seconds.items()}

    def more(one: str, other: str) -> float:
        return round(1000 * (median[one] - median[other]), 1)

    found: dict[str, object] = {
        "unrecorded bubblewrap over bare bwrap, ms": more("bubblewrap execution", "bare bwrap"),
        "recorded bubblewrap over plain with runner, ms": more("bubblewrap trial", "plain with runner"),
        "recorded landlock over plain with runner, ms": more("landlock trial", "plain with runner"),
        "ratio to plain": {name: round(value / median["plain"], 2) for name, value in median.items()},
    }
    for name in ("bubblewrap", "landlock"):
        recorded, unrecorded = f"{name} trial import pandas", f"{name} execution import pandas"
        ratio = (
            round(median[recorded] / median[unrecorded], 2)
            if recorded in median
            else "there is no science: make science"
        )
        found[f"{name}: import pandas, recorded to unrecorded"] = ratio
    return found


async def flooded(runs: Runs) -> dict[str, object]:
    """What a flood of output does to the worker, and how it ends."""
    async with WorkerMemory() as memory:
        report = await runs.run(FLOOD, RunPurpose.EXECUTION, limits=RunLimits(output_bytes=16 << 20))
    return {
        "bytes": report.usage.output_bytes,
        "outcome": report.outcome.value,
        "seconds": round(report.usage.wall_ms / 1000, 1),
        "worker grew at most, MB": round(memory.grown_bytes / 1e6, 1),
    }


async def in_a_row(runs: Runs, state: Path) -> dict[str, object]:
    """Whether anything is left of many runs, by kind."""
    await runs.timed(SHORT, RunPurpose.TRIAL)
    before, began = residue_now(state), time.perf_counter()
    for number in range(IN_A_ROW):
        await (runs.stopped(SPINNER) if number % 10 == 0 else runs.timed(SHORT, RunPurpose.TRIAL))
    spent, after = time.perf_counter() - began, residue_now(state)
    left = {kind: (before[kind], after[kind]) for kind in before if before[kind] != after[kind]}
    return {"runs": IN_A_ROW, "seconds": round(spent, 1), "looked for": sorted(before), "left": left}


async def at_once(runs: Runs) -> dict[str, object]:
    """Whether runs beside one another get their own results."""
    script = b"import time\ndef evaluate_model(model, n):\n    time.sleep(0.1)\n    return [n, model.generate(str(n))]"
    began = time.perf_counter()
    asked = [runs.run(script, RunPurpose.TRIAL, params={"n": number}) for number in range(AT_ONCE)]
    reports = await asyncio.gather(*asked)
    right = sum(report.result == [number, str(number)] for number, report in enumerate(reports))
    return {"runs": AT_ONCE, "right results": right, "seconds": round(time.perf_counter() - began, 1)}


def warm_up() -> None:
    """Bytecode and caches: what is measured has been done before."""
    for each in (plain, plain_with_runner, bare_bwrap):
        each()


if __name__ == "__main__":
    subprocess.run([PYTHON, "-c", "pass"], check=True)
    warm_up()
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
