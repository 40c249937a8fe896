"""What a sandbox costs: start-up over a plain interpreter, and how soon a spinning script is dead after a stop.

One run, medians of interleaved rounds, so that a busy machine slows all alike. Usage: python -m bench.sandbox [rounds]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from domain.limits import RunLimits
from domain.model_calls import ModelAnswer, ModelRequest
from domain.runs import RunPurpose, RunRequest
from sandbox.bubblewrap import BubblewrapSandbox, launcher_path
from sandbox.environment_description import describe_environment
from sandbox.landlock import LandlockSandbox
from sandbox.local.backend import LocalSandbox
from sandbox.port import Printed, RunEvent

PYTHON = "/usr/bin/python3"
BWRAP = ("--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib")
SCRIPT = b"x = 1\n" * 50
SPINNER = b"""
import os, signal
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
print("ready", flush=True)
while True: pass
"""
"""Ignores what can be ignored, double-forks, and spins on both of this machine's processors."""
FLOOD = b"import os\nfor _ in range(8000): os.write(1, bytes(65536))"


async def answer(request: ModelRequest) -> ModelAnswer:
    """Answer nothing, at once."""
    return ModelAnswer(call=request.call)


async def nobody(_: RunEvent) -> None:
    """Watch, and keep nothing."""


def a_run(name: str, script: bytes, purpose: RunPurpose, limits: RunLimits | None = None) -> RunRequest:
    """What is asked for."""
    return RunRequest(
        run_id=name, purpose=purpose, script=script, model_id="mock", environment="default", timeout_seconds=60,
        limits=limits or RunLimits(),
    )  # fmt: skip


def plain() -> float:
    """Seconds of an interpreter that does nothing."""
    began = time.perf_counter()
    subprocess.run([PYTHON, "-I", "-c", "pass"], check=True)
    return time.perf_counter() - began


def bare_bwrap() -> float:
    """The same in bubblewrap, without limits, wall or record."""
    links = ("--symlink", "usr/lib64", "/lib64", PYTHON, "-I", "-c", "pass")
    began = time.perf_counter()
    subprocess.run([launcher_path(), *BWRAP, *links], check=True)
    return time.perf_counter() - began


async def timed(sandbox: LocalSandbox, name: str, purpose: RunPurpose) -> float:
    """Seconds from the request to the report of a short script. A trial is recorded whole, an execution is not."""
    began = time.perf_counter()
    await sandbox.run(a_run(name, SCRIPT, purpose), answer=answer, watch=nobody, stop=asyncio.Event())
    return time.perf_counter() - began


async def stopped(sandbox: LocalSandbox, name: str) -> float:
    """Seconds from the stop to the report, before which every process is dead."""
    stop, began = asyncio.Event(), 0.0

    async def watch(event: RunEvent) -> None:
        nonlocal began
        if isinstance(event, Printed) and not stop.is_set():
            began = time.perf_counter()
            stop.set()

    await sandbox.run(a_run(name, SPINNER, RunPurpose.EXECUTION), answer=answer, watch=watch, stop=stop)
    return time.perf_counter() - began


def resident_kib() -> int:
    """The memory of this process, which is the worker."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


async def main(rounds: int) -> None:
    """Measure, print, and write it down."""
    environment = describe_environment("default", Path(PYTHON), "")
    with tempfile.TemporaryDirectory(prefix="airlock-bench-") as place:
        Path(place).chmod(0o755)  # noqa: ASYNC240 - nothing else is under way
        boxes = {
            each.backend: each({"default": environment}, Path(place)) for each in (BubblewrapSandbox, LandlockSandbox)
        }
        figures: dict[str, list[float]] = {}
        for box in boxes.values():
            await box.probe()
        for number in range(rounds):
            figures.setdefault("plain python", []).append(plain())
            figures.setdefault("bare bwrap", []).append(bare_bwrap())
            for name, box in boxes.items():
                for purpose in RunPurpose:
                    spent = await timed(box, f"start-{number}", purpose)
                    figures.setdefault(f"{name} {purpose}", []).append(spent)
                figures.setdefault(f"{name} stop of a spinner", []).append(await stopped(box, f"stop-{number}"))
        before = resident_kib()
        flood = a_run("flood", FLOOD, RunPurpose.EXECUTION, RunLimits(output_bytes=16 << 20))
        report = await boxes["bubblewrap"].run(flood, answer=answer, watch=nobody, stop=asyncio.Event())
        grown = resident_kib() - before
    table = {name: summary(values) for name, values in figures.items()}
    flooded = {"bytes": report.usage.output_bytes, "outcome": report.outcome, "worker_grew_kib": grown}
    words = json.dumps({"rounds": rounds, "milliseconds": table, "flood": flooded}, indent=2)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "sandbox.json").write_text(words + "\n")
    print(words)


def summary(values: list[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(value * 1000 for value in values)
    return {
        "min": round(ordered[0], 1),
        "median": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
    }


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30))
