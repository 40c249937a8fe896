"""Every limit is met by the script that goes beyond it, and by nobody else."""

import pytest

from domain.limits import BOUNDS, RunLimits
from domain.outcomes import RunOutcome
from tests.sandbox.contract.conftest import Bench
from tests.slices import slice_of_rows

pytestmark = pytest.mark.sandbox

SMALL_MEMORY = RunLimits(memory_bytes=96 << 20)


@pytest.mark.parametrize(
    ("script", "limits", "outcome"),
    slice_of_rows(
        [
            ("while True: pass", RunLimits(cpu_seconds=1), RunOutcome.CPU_LIMIT),
            ("import signal; signal.signal(24, 1)\nwhile True: pass", RunLimits(cpu_seconds=1), RunOutcome.CPU_LIMIT),
            ("x = []\nwhile True: x.append(bytearray(1 << 20))", SMALL_MEMORY, RunOutcome.MEMORY_LIMIT),
            ("x = bytearray(900 << 20)", SMALL_MEMORY, RunOutcome.MEMORY_LIMIT),
            (
                "import mmap\nx = []\nwhile True:\n    x.append(mmap.mmap(-1, 1 << 20)); x[-1].write(bytes(1 << 20))",
                SMALL_MEMORY,
                RunOutcome.MEMORY_LIMIT,
            ),
            (
                "import os, time\nwhile True:\n    if not os.fork(): time.sleep(60)",
                RunLimits(processes=16),
                RunOutcome.PROCESS_LIMIT,
            ),
            (
                "import threading as t, time\nwhile True: t.Thread(target=time.sleep, args=(9,), daemon=True).start()",
                RunLimits(processes=16),
                RunOutcome.PROCESS_LIMIT,
            ),
            (
                "f = [open('/dev/null') for _ in range(300)]",
                RunLimits(open_files=BOUNDS["open_files"].default),
                RunOutcome.EXCEPTION,
            ),
            (
                "import os, tempfile\nwhile True: os.write(tempfile.mkstemp()[0], bytes(1 << 20))",
                RunLimits(disk_bytes=8 << 20),
                RunOutcome.DISK_LIMIT,
            ),
            (
                "f = open('big', 'wb', 0)\nwhile True: f.write(bytes(1 << 20))",
                RunLimits(disk_bytes=8 << 20),
                RunOutcome.DISK_LIMIT,
            ),
            ("while True: print('x' * 4096)", RunLimits(output_bytes=4096), RunOutcome.OUTPUT_LIMIT),
        ],
        every=2,
    ),
)
async def test_a_limit_has_its_outcome(bench: Bench, script: str, limits: RunLimits, outcome: RunOutcome) -> None:
    report = await bench.run(script, limits=limits)

    assert report.outcome is outcome, report


async def test_output_beyond_its_limit_is_counted_and_said(bench: Bench) -> None:
    report = await bench.run("for _ in range(100): print('x' * 99)", limits=RunLimits(output_bytes=1000))

    assert report.outcome is RunOutcome.COMPLETED
    assert (report.usage.output_bytes, report.usage.output_truncated) == (10_000, True)
    assert len(bench.printed) <= 1000


async def test_output_of_every_kind_arrives_as_text(bench: Bench) -> None:
    script = (
        "import os; os.write(1, b'\\xff\\x00\\x1b]0;t\\x07\\n'); os.write(2, b'x' * 9000 + b'\\n'); print('é\\ud800')"
    )

    report = await bench.run(script)

    assert report.outcome is RunOutcome.COMPLETED
    assert "\ufffd\x00\x1b]0;t\x07" in bench.printed
    assert "é\\ud800" in bench.printed
    assert max(len(line) for line in bench.printed.splitlines()) <= 8192


async def test_scratch_space_can_be_used_up_to_its_limit(bench: Bench) -> None:
    report = await bench.run("open('a', 'wb').write(bytes(6 << 20))", limits=RunLimits(disk_bytes=8 << 20))

    assert report.outcome is RunOutcome.COMPLETED


async def test_the_processes_allowed_can_be_had(bench: Bench) -> None:
    script = "import os, time\np = [os.fork() or time.sleep(60) for _ in range(6)]\nprint('six')"

    report = await bench.run(script, limits=RunLimits(processes=8))

    assert (report.outcome, bench.printed) == (RunOutcome.COMPLETED, "six")


async def test_usage_is_told(bench: Bench) -> None:
    report = await bench.run("x = bytearray(50 << 20)\nfor _ in range(3_000_000): pass")

    assert report.usage.peak_memory_bytes > 50 << 20
    assert report.usage.wall_ms >= report.usage.cpu_ms // 2 > 0
