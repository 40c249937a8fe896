from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

import detection.parser_pool
from detection.child_pool import ChildDied, ChildPool
from detection.child_protocol import HEADER, MEMORY_BYTES, Frame, pack
from detection.parser_pool import ParsedScript, ParserPool
from domain.errors import AnalyserFailed, EnvironmentUnavailable, ParserTimeout
from domain.findings import Finding, Verdict
from domain.lifecycle import Stage
from domain.policy import Policy

MODULES = frozenset(sys.stdlib_module_names)
AMPLE = timedelta(seconds=30)
PROGRAM = Path(detection.parser_pool.__file__).with_name("parser_child.py")
SLOW = b"x=1\n" * 60_000
LEAVES = f"""
import sys
length = int.from_bytes(sys.stdin.buffer.read({HEADER.size}), "big")
sys.stdin.buffer.read(length)
sys.stdout.buffer.write({pack({})!r})
sys.stdout.buffer.flush()
sys.stdin.buffer.read(1)
"""
"""A child that is ready, and ends when the next request begins."""


def children() -> set[int]:
    """Processes whose parent is this one, zombies included."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


@pytest.fixture
async def pool() -> AsyncIterator[ParserPool]:
    async with ParserPool({"default": Path(sys.executable)}, {"default": MODULES}) as one:
        yield one


def refusal_of(parsed: ParsedScript) -> Finding | None:
    """What the built-in policy refuses it for."""
    return next((each for each in parsed.report.findings if Policy().verdict_on(each) is Verdict.REJECTED), None)


async def test_an_honest_script_has_no_refusal(pool: ParserPool):
    parsed = await pool.check(b"import json\ndef evaluate_model(model): return 1\n", "default", AMPLE)

    assert refusal_of(parsed) is None
    assert parsed.report.stage is Stage.QUICK_CHECKS
    assert (parsed.imports, parsed.defines_evaluate_model) == (("json",), True)


async def test_the_refusal_is_the_first_grave_finding(pool: ParserPool):
    parsed = await pool.check(b"import os\nx = __spec__\nimport numpy\neval('1')\n", "default", AMPLE)

    refusal = refusal_of(parsed)
    assert refusal is not None
    assert (refusal.rule, refusal.line) == ("missing_module", 3)
    assert parsed.missing_modules == ("numpy",)


async def test_a_script_that_kills_every_child_is_rejected(pool: ParserPool, monkeypatch: pytest.MonkeyPatch):
    async def dying(*_: object) -> Frame:
        raise ChildDied("ended instead of answering")

    monkeypatch.setattr(ChildPool, "ask", dying)
    parsed = await pool.check(b"x = 1", "default", AMPLE)

    assert [found.rule for found in parsed.report.findings] == ["parser_died"]
    assert Policy().verdict_of(parsed.report) is Verdict.REJECTED


async def test_a_child_that_was_killed_from_outside_costs_nobody_anything():
    before = children()

    async with ParserPool({"default": Path(sys.executable)}, {"default": MODULES}) as pool:
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
        parsed = await asyncio.gather(*(pool.check(b"x = 1", "default", AMPLE) for _ in range(4)))

    assert all(each.report.findings == () for each in parsed)


async def test_lateness_is_an_error_of_ours_and_the_next_script_is_served(pool: ParserPool):
    with pytest.raises(ParserTimeout):
        await pool.check(SLOW, "default", timedelta(milliseconds=5))

    assert refusal_of(await pool.check(b"x = 1", "default", AMPLE)) is None


async def test_waiting_for_a_busy_child_is_bounded_too(pool: ParserPool):
    asked = [pool.check(SLOW, "default", timedelta(milliseconds=20)) for _ in range(6)]

    ended = await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(each, ParserTimeout) for each in ended)


async def test_a_cancelled_question_never_answers_the_next_one(pool: ParserPool):
    for _ in range(5):
        question = asyncio.create_task(pool.check(b"eval('1')\n" * 2000, "default", AMPLE))
        await asyncio.sleep(0.002)
        question.cancel()
        await asyncio.gather(question, return_exceptions=True)

        assert (await pool.check(b"x = 1", "default", AMPLE)).report.findings == ()


async def test_the_kernel_bounds_every_child():
    before = children()

    async with ParserPool({"default": Path(sys.executable)}, {"default": MODULES}):
        bounds = [limits_of(pid) for pid in children() - before]

    assert len(bounds) == 2
    for text in bounds:
        assert re.search(rf"Max address space\s+{MEMORY_BYTES}\s", text)
        assert re.search(r"Max file size\s+0\s", text)
        assert re.search(r"Max core file size\s+0\s", text)


async def test_a_bug_of_ours_is_not_blamed_on_the_script():
    async with ChildPool((sys.executable, "-I", "-S", str(PROGRAM)), {"modules": []}, size=1) as pool:
        with pytest.raises(AnalyserFailed, match="failed by itself"):
            await pool.ask({"no source": ""}, asyncio.get_running_loop().time() + 20)


async def test_a_child_that_leaves_while_it_is_written_to_is_told_once():
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))

    async with ChildPool((sys.executable, "-I", "-S", "-c", LEAVES), {}, size=1) as pool:
        with pytest.raises(ChildDied):
            await pool.ask({"source": "x" * 1_000_000}, loop.time() + 20)
    gc.collect()

    assert told == []


async def test_whoever_kills_a_child_leaves_its_end_to_the_one_who_waits_for_it(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    def poll(process: subprocess.Popen[bytes]) -> int | None:
        asked.append(process.pid)
        return process.returncode

    monkeypatch.setattr(subprocess.Popen, "poll", poll)
    async with ParserPool({"default": Path(sys.executable)}, {"default": MODULES}) as pool:
        with pytest.raises(ParserTimeout):
            await pool.check(SLOW, "default", timedelta(milliseconds=5))

    assert asked == []


async def test_no_child_outlives_the_pool():
    before = children()

    async with ParserPool({"default": Path(sys.executable)}, {"default": MODULES}) as pool:
        late = asyncio.create_task(pool.check(SLOW, "default", AMPLE))
        await asyncio.sleep(0.01)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
    gc.collect()

    assert children() == before


async def test_other_environments_start_their_children_when_asked():
    before = children()
    both = {"default": Path(sys.executable), "science": Path(sys.executable)}

    async with ParserPool(both, {"default": MODULES, "science": MODULES | {"numpy"}}) as pool:
        eager = len(children() - before)
        parsed = await pool.check(b"import numpy", "science", AMPLE)

        assert refusal_of(parsed) is None
        assert eager == 2
        assert len(children() - before) > 2


async def test_an_unknown_environment_is_an_error_of_ours(pool: ParserPool):
    with pytest.raises(EnvironmentUnavailable):
        await pool.check(b"x = 1", "moon", AMPLE)


async def test_an_interpreter_that_is_not_there_is_said_at_the_start():
    with pytest.raises(AnalyserFailed):
        async with ParserPool({"default": Path("/nowhere/python")}, {"default": MODULES}):
            pass


async def test_an_interpreter_that_is_not_there_is_said_when_asked():
    nowhere = {"default": Path(sys.executable), "broken": Path("/nowhere/python")}

    async with ParserPool(nowhere, {"default": MODULES, "broken": MODULES}) as pool:
        with pytest.raises(AnalyserFailed):
            await pool.check(b"x = 1", "broken", AMPLE)


def test_the_api_side_loads_no_bandit():
    program = "import sys; import detection.parser_pool, detection.quick_checks; sys.exit('bandit' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
