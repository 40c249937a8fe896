"""What a script finds around it: nothing that is not its own."""

import os
from pathlib import Path

import pytest

from domain.outcomes import RunOutcome
from domain.runs import RunPurpose
from sandbox.port import Began
from sandbox.profiles.tables import required_of
from tests.sandbox.contract.conftest import LEVELS, Bench
from tests.slices import slice_of

pytestmark = pytest.mark.sandbox

TRYING = """import os, socket
def evaluate_model(model):
    try:
        {code}
    except OSError as error:
        return error.errno
"""


async def tried(bench: Bench, code: str) -> object:
    report = await bench.run(TRYING.format(code=code))
    assert report.outcome is RunOutcome.COMPLETED, report
    return report.result


async def test_every_control_is_proved_before_the_script_begins(bench: Bench) -> None:
    report = await bench.run("print('x')")

    assert isinstance(bench.events[0], Began)
    assert bench.events[0].isolation == report.isolation
    assert report.isolation.level == LEVELS[bench.sandbox.backend]
    assert set(required_of(bench.sandbox.backend)) <= set(report.isolation.checks)
    assert all(report.isolation.checks.values())


async def test_exactly_the_standard_descriptors_and_the_channel_are_open(bench: Bench) -> None:
    read, write = os.pipe()
    os.set_inheritable(read, True)
    code = "def ok(n):\n    try: return bool(os.fstat(n)) or True\n    except OSError: return False\n"
    script = f"import os\n{code}def evaluate_model(model): return [n for n in range(256) if ok(n)]"

    report = await bench.run(script)

    os.close(read)
    os.close(write)
    assert report.result == [0, 1, 2, 3]


async def test_standard_input_is_empty(bench: Bench) -> None:
    assert await tried(bench, "import sys; return [sys.stdin.read(), os.read(0, 1).decode()]") == ["", ""]


async def test_the_environment_has_nothing_of_ours(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOCK_SECRET", "hunter2")

    report = await bench.run("import os\ndef evaluate_model(model): return dict(os.environ)")

    assert isinstance(report.result, dict)
    assert not [name for name in report.result if name.startswith("AIRLOCK")]
    assert "hunter2" not in str(report.result)
    assert set(report.result) >= {"HOME", "TMPDIR", "PATH"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("socket.create_connection(('127.0.0.1', 22), 2)", "connect"),
        ("socket.create_connection(('169.254.169.254', 80), 2)", "connect"),
        ("socket.socket(socket.AF_UNIX).connect('\\0x')", "connect"),
        ("open('/etc/shadow')", "open"),
        ("open('/usr/x', 'w')", "write"),
        ("open('/x', 'w')", "write"),
        ("os.kill(os.getppid(), 9)", "signal"),
        ("os.execv('/bin/sh', ['sh'])", "exec"),
    ],
)
async def test_what_is_tried_fails_and_is_recorded(bench: Bench, code: str, kind: str) -> None:
    assert await tried(bench, code) in {1, 2, 13, 30}
    assert bench.tried(kind) or not bench.records


async def test_the_first_process_has_no_environment_to_steal(bench: Bench) -> None:
    """gVisor shows everybody the runner's, which holds no more than a home directory."""
    seen = await tried(bench, "return open('/proc/1/environ').read()")

    assert seen in {2, 13} or (isinstance(seen, str) and seen.startswith("HOME=") and seen.count("=") == 1)
    assert bench.tried("open") or not bench.records


async def test_files_of_others_are_out_of_reach(bench: Bench, state: Path) -> None:
    secret = state / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o644)

    assert await tried(bench, f"return open({str(secret)!r}).read()") in {2, 13}


async def test_nothing_stays_for_the_next_run(bench: Bench) -> None:
    await tried(bench, "os.makedirs('a/b'); open('a/b/c', 'w').write('x'); os.chmod('a', 0); return None")

    assert await tried(bench, "return os.listdir('.')") == ["script.py"]


async def test_a_deep_tree_is_cleared_away(bench: Bench) -> None:
    code = "import os\nfor _ in range(1500):\n    os.mkdir('d'); os.chdir('d')"

    assert (await bench.run(code)).outcome is RunOutcome.COMPLETED


HONEST_CODE = [
    "import asyncio; asyncio.run(asyncio.sleep(0.01))",
    "import asyncio as a\nasync def f(): await a.gather(*[a.to_thread(sum, [1]) for _ in range(5)])\na.run(f())",
    "import threading; t = threading.Thread(target=print); t.start(); t.join()",
    "import tempfile\nwith tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').write('x')",
    "import sqlite3; print(sqlite3.connect(':memory:').execute('select 1').fetchall())",
    "import logging; logging.basicConfig(level=20); logging.info('x')",
    "import locale as l, time, datetime as d; l.setlocale(l.LC_ALL, ''); time.localtime(); d.datetime.now()",
    "import json, random, re, csv, statistics, collections, decimal, uuid; uuid.uuid4(); random.random()",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as p: [*p.map(str, range(9))]",
    "open('/proc/sys/vm/overcommit_memory').read()",  # what the allocator of Python 3.13 does by itself
]


@pytest.mark.parametrize("script", slice_of(HONEST_CODE, every=3))
async def test_honest_code_works_and_leaves_no_attempt(bench: Bench, script: str) -> None:
    report = await bench.run(script)

    assert report.outcome is RunOutcome.COMPLETED, report
    assert report.record.attempts == ()
    assert report.record.complete is bench.records


@pytest.mark.parametrize(
    "script",
    [
        "import subprocess; subprocess.run(['/bin/true'])",
        "import asyncio; asyncio.run(asyncio.create_subprocess_exec('/bin/true'))",
    ],
)
async def test_other_programs_are_refused_with_a_clear_error(bench: Bench, script: str) -> None:
    report = await bench.run(script)

    assert report.outcome is RunOutcome.EXCEPTION
    assert "PermissionError: [Errno 1] Operation not permitted" in report.message


async def test_an_execution_does_not_ask_about_reading(bench: Bench) -> None:
    report = await bench.run("import json, asyncio\nopen('x', 'w')", purpose=RunPurpose.EXECUTION)

    assert report.record.allowed_reads == 0
    assert report.record.complete is bench.records
