"""The scripts and runs that bench/sandbox.py measures, and how it looks at what they leave."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from domain.environments import Environment
from domain.limits import RunLimits
from domain.model_calls import ModelAnswer, ModelRequest
from domain.runs import RunPurpose, RunReport, RunRequest
from sandbox.bubblewrap import launcher_path
from sandbox.local.backend import LocalSandbox
from sandbox.port import Printed, RunEvent

PYTHON = "/usr/bin/python3"
SHORT = b"x = 1\n" * 50
IMPORT = b"""
import time
def evaluate_model(model):
    began = time.perf_counter()
    import pandas
    return time.perf_counter() - began
"""
SPINNER = b"""
import os, signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
for _ in range(os.cpu_count()):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        while True: pass
print("ready", flush=True)
while True: pass
"""
FLOOD = b"import os\nfor _ in range(8000): os.write(1, b'x' * 65536)"
_ROOT = str(Path(__file__).parents[1])
_WITH_RUNNER = (
    "import os, sys\n"
    f"sys.path.insert(0, {_ROOT!r})\n"
    "import sandbox.runner, sandbox.box.run, sandbox.recorder\n"
    "if os.fork() == 0:\n"
    f"    os.execv({PYTHON!r}, [{PYTHON!r}, '-P', '-s', '-S', '-c', {SHORT.decode()!r}])\n"
    "os.wait()\n"
)
_SAMPLED_EVERY = 0.02


def plain() -> float:
    """Seconds of an interpreter that does nothing."""
    return _seconds_of([PYTHON, "-I", "-c", "pass"])


def plain_with_runner() -> float:
    """Seconds of an interpreter with the runner's modules, and one for the script: no wall, no record, no stream."""
    return _seconds_of([PYTHON, "-I", "-S", "-c", _WITH_RUNNER])


def bare_bwrap() -> float:
    """Seconds of `pass` in bubblewrap, without limits, wall or record."""
    mounts = ("--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64")
    return _seconds_of(
        [launcher_path(), "--unshare-all", "--die-with-parent", *mounts, "--proc", "/proc", PYTHON, "-I", "-c", "pass"]
    )


def science(directory: Path) -> dict[str, Environment]:
    """The environment that `make science` makes; nothing where it has not."""
    described = directory / "science.json"
    if not described.exists():
        return {}
    return {"science": Environment.model_validate_json(described.read_bytes())}


class Runs:
    """Runs in one sandbox, each under a name of its own."""

    def __init__(self, sandbox: LocalSandbox) -> None:
        self._sandbox = sandbox
        self._count = 0

    async def run(self, script: bytes, purpose: RunPurpose, **more: Any) -> RunReport:
        """One run. `limits`, `params`, `environment`, `watch` and `stop` where they matter."""
        self._count += 1
        watch, stop = more.pop("watch", _nobody), more.pop("stop", None) or asyncio.Event()
        request = RunRequest.model_validate(
            {
                "run_id": f"bench-{self._count}",
                "purpose": purpose,
                "script": script,
                "model_id": "mock",
                "environment": "default",
                "timeout_seconds": 60,
                "limits": RunLimits(),
                **more,
            }
        )
        return await self._sandbox.run(request, answer=_echo, watch=watch, stop=stop)

    async def timed(self, script: bytes, purpose: RunPurpose) -> float:
        """Seconds from the request to the report."""
        began = time.perf_counter()
        await self.run(script, purpose)
        return time.perf_counter() - began

    async def told(self, script: bytes, purpose: RunPurpose, environment: str) -> float:
        """Seconds that a script has measured itself."""
        report = await self.run(script, purpose, environment=environment)
        assert isinstance(report.result, float), report.message
        return report.result

    async def stopped(self, script: bytes) -> float:
        """Seconds from the stop to the report, before which every process is dead."""
        stop, began = asyncio.Event(), 0.0

        async def watch(event: RunEvent) -> None:
            nonlocal began
            if isinstance(event, Printed) and not stop.is_set():
                await asyncio.sleep(0.05)  # until all of them spin
                began = time.perf_counter()
                stop.set()

        await self.run(script, RunPurpose.EXECUTION, watch=watch, stop=stop)
        return time.perf_counter() - began


class WorkerMemory:
    """Samples the memory of this process, which is the worker."""

    def __init__(self) -> None:
        self.grown_bytes = 0
        self._before = 0
        self._sampling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._before = _resident()
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sampling is not None
        self._sampling.cancel()
        await asyncio.wait([self._sampling])

    async def _sample(self) -> None:
        while True:
            self.grown_bytes = max(self.grown_bytes, _resident() - self._before)
            await asyncio.sleep(_SAMPLED_EVERY)


def residue_now(state: Path) -> dict[str, object]:
    """Whatever a run could leave, by kind."""
    own = os.getpid()
    open_now = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return {
        "processes": Path(f"/proc/{own}/task/{own}/children").read_text().split(),
        "mounts": sum(str(state) in line for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "control groups": len(list(Path("/sys/fs/cgroup").rglob("airlock-*"))),
        "files": sorted(str(each) for each in state.rglob("*")),
        "descriptors": len(open_now),
        "sockets": sum(each.startswith("socket:") for each in open_now),
        "shared memory": len(Path("/proc/sysvipc/shm").read_text().splitlines()),
        "tasks": len(asyncio.all_tasks()),
    }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _seconds_of(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


async def _echo(request: ModelRequest) -> ModelAnswer:
    return ModelAnswer(call=request.call, text=request.messages[-1].content)


async def _nobody(_: RunEvent) -> None:
    return None
