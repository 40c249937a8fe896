"""Nothing outlives its run, however it is ended and by whom."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from domain.errors import SandboxUnavailable
from domain.outcomes import RunOutcome
from domain.runs import Backend, RunReport
from sandbox.box.process_tree import descendants
from sandbox.local.backend import LocalSandbox
from sandbox.local.markers import is_alive, started_at
from sandbox.port import Printed, RunEvent
from tests.sandbox.contract.conftest import Bench

pytestmark = pytest.mark.sandbox

STUBBORN = """
import os, signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        print("spinning", flush=True)
        while True: pass
print("ready", flush=True)
while True: pass
"""
DEAD_WITHIN = 3.0


def marked(mark: str) -> list[int]:
    """Processes of scripts whose environment has our mark."""
    found: list[int] = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


class Ready:
    """Knows when the script is under way, and its processes by the seed that is in their environment.

    The machine does not see those of another kernel: there it is the kernel's own that have to be gone.
    """

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench, self.seed = bench, seed
        self.there = asyncio.Event()
        self.kernel: list[tuple[int, int]] = []

    async def watch(self, event: RunEvent) -> None:
        self.bench.events.append(event)
        if isinstance(event, Printed) and event.text == "ready":
            self.remember_kernel("stubborn")
            self.there.set()

    def remember_kernel(self, run_id: str) -> None:
        """What of this machine is another kernel's: the processes below the run's launcher."""
        sandbox = self.bench.sandbox
        if isinstance(sandbox, LocalSandbox) and sandbox.backend is Backend.GVISOR:
            marker = sandbox.marker(run_id)
            assert marker is not None
            self.kernel = [(each, started_at(each)) for each in descendants(marker.launcher)]

    def start(self, script: str = STUBBORN, run_id: str = "stubborn") -> asyncio.Task[RunReport]:
        request = self.bench.request(script, run_id, seed=self.seed)
        run = self.bench.sandbox.run(request, answer=self.bench.answer, watch=self.watch, stop=self.bench.stop)
        return asyncio.create_task(run)

    @property
    def processes(self) -> list[int]:
        alive = [process for process, started in self.kernel if is_alive(process, started)]
        return alive + marked(f"PYTHONHASHSEED={self.seed}\0")


@pytest.fixture
def ready(bench: Bench) -> Ready:
    return Ready(bench, int.from_bytes(os.urandom(4), "little"))


async def test_a_stop_ends_a_stubborn_tree_and_reports_what_there_was(bench: Bench, ready: Ready) -> None:
    run = ready.start()
    await asyncio.wait_for(ready.there.wait(), 20)
    assert ready.processes
    began = time.monotonic()

    bench.stop.set()
    report = await run

    assert time.monotonic() - began < DEAD_WITHIN
    assert report.outcome is RunOutcome.STOPPED
    assert "ready" in bench.printed
    assert ready.processes == []


async def test_a_cancellation_is_passed_on_after_everything_is_dead(ready: Ready) -> None:
    run = ready.start()
    await asyncio.wait_for(ready.there.wait(), 20)

    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert ready.processes == []


async def test_a_watcher_that_fails_ends_the_run(bench: Bench) -> None:
    async def fail(_: RunEvent) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await bench.sandbox.run(bench.request("while True: pass"), answer=bench.answer, watch=fail, stop=bench.stop)


async def test_another_process_kills_a_run_by_its_id(bench: Bench, ready: Ready) -> None:
    run = ready.start()
    await asyncio.wait_for(ready.there.wait(), 20)
    assert await bench.sandbox.runs() == ("stubborn",)

    killed = await in_another_process(bench, "print(await sandbox.kill('stubborn'), await sandbox.kill('no such run'))")
    report = await run

    assert killed == "True False"
    assert report.outcome is RunOutcome.STOPPED
    assert ready.processes == []


async def test_a_worker_that_is_killed_leaves_nothing_that_cannot_be_found_and_ended(
    bench: Bench, ready: Ready
) -> None:
    script = f"""
async def watch(event): print(getattr(event, "text", ""), flush=True)
request = a_run({STUBBORN!r}, "orphan", seed={ready.seed}, purpose={bench.request("").purpose.value!r})
await sandbox.run(request, answer=None, watch=watch, stop=asyncio.Event())
"""
    worker = await started(bench, script)
    assert worker.stdout is not None
    while b"ready" not in (line := await asyncio.wait_for(worker.stdout.readline(), 30)):
        assert line
    ready.remember_kernel("orphan")
    worker.send_signal(signal.SIGKILL)
    await worker.wait()

    until = time.monotonic() + DEAD_WITHIN
    while bench.dies_with_worker and ready.processes and time.monotonic() < until:  # noqa: ASYNC110 - the kernel is mute
        await asyncio.sleep(0.01)

    assert await bench.sandbox.runs() == ("orphan",)
    assert ready.processes == [] or not bench.dies_with_worker
    await bench.sandbox.kill("orphan")
    assert ready.processes == []
    assert await nothing_left(bench)


async def test_a_terminal_s_interrupt_reaches_the_worker_alone(bench: Bench, ready: Ready) -> None:
    script = f"""
async def watch(event): print(getattr(event, "text", ""), flush=True)
request = a_run({STUBBORN!r}, "interrupted", seed={ready.seed}, purpose={bench.request("").purpose.value!r})
await sandbox.run(request, answer=None, watch=watch, stop=asyncio.Event())
"""
    worker = await started(bench, script, start_new_session=True)
    assert worker.stdout is not None
    while b"ready" not in (line := await asyncio.wait_for(worker.stdout.readline(), 30)):
        assert line

    os.killpg(worker.pid, signal.SIGINT)
    await asyncio.wait_for(worker.wait(), 30)

    assert ready.processes == []
    assert await bench.sandbox.runs() == ()


async def test_the_children_of_a_script_end_with_it(ready: Ready) -> None:
    script = "import os, time\nif not os.fork():\n    os.setsid()\n    os.fork() or time.sleep(600)\n    os._exit(0)"

    report = await ready.start(script)

    assert report.outcome is RunOutcome.COMPLETED
    assert ready.processes == []


async def test_two_runs_of_one_name_are_never_alive_at_once(bench: Bench, ready: Ready) -> None:
    run = ready.start()
    await asyncio.wait_for(ready.there.wait(), 20)
    with contextlib.suppress(SandboxUnavailable):  # either the later one is refused, or the earlier one has ended
        await bench.run(f"print({ready.seed})", run_id="stubborn")
        assert ready.processes == []

    bench.stop.set()
    report = await run

    assert report.outcome is RunOutcome.STOPPED
    assert ready.processes == []


async def test_eight_runs_at_once_do_not_disturb_one_another(bench: Bench) -> None:
    script = "def evaluate_model(model, n): return [n, model.generate(str(n)), True]"

    reports = await asyncio.gather(*[bench.run(script, params={"n": n}) for n in range(8)])

    assert [report.result for report in reports] == [[n, f"answer to {n}", True] for n in range(8)]


async def in_another_process(bench: Bench, script: str) -> str:
    process = await started(bench, script)
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return output.decode().strip()


async def started(bench: Bench, script: str, *, start_new_session: bool = False) -> asyncio.subprocess.Process:
    """Another worker of this machine, with the same state."""
    lines = "".join(f"        {line}\n" for line in script.strip().splitlines()) if "'''" not in script else script
    program = (
        "import asyncio\nfrom pathlib import Path\nfrom domain.environments import Environment\n"
        "from tests.sandbox.contract.conftest import a_run\n"
        f"{bench.imports}\n"
        f"environment = Environment.model_validate_json({bench.environment.model_dump_json()!r})\n"
        f"async def main():\n    async with {bench.opened} as sandbox:\n{lines}\nasyncio.run(main())\n"
    )
    root = str(Path(__file__).parents[3])
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=root, env={"PYTHONPATH": root},
        start_new_session=start_new_session,
    )  # fmt: skip


async def nothing_left(bench: Bench) -> bool:
    until = time.monotonic() + DEAD_WITHIN
    while (left := await bench.sandbox.runs()) and time.monotonic() < until:  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0.05)
    return left == ()
