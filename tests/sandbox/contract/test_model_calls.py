"""The model as a script has it, over the run's own stream."""

import pytest

from domain.limits import MAX_MODEL_PARALLEL
from domain.model_calls import ModelAnswer, ModelErrorKind, ModelRequest
from domain.outcomes import RunOutcome
from sandbox.conversation import NO_CALL
from sandbox.port import Asked
from tests.sandbox.contract.conftest import Bench

pytestmark = pytest.mark.sandbox

TOGETHER = """import asyncio
async def evaluate_model(model):
    return await asyncio.gather(*[model.agenerate(str(i)) for i in range(40)])
"""
IN_THREADS = """from concurrent.futures import ThreadPoolExecutor
def evaluate_model(model):
    with ThreadPoolExecutor(20) as pool:
        return list(pool.map(model.generate, map(str, range(40))))
"""


@pytest.mark.parametrize(
    "call",
    [
        "return model.generate('x', temperature=0)",
        "return model.chat([{'role': 'user', 'content': 'x'}], temperature=0)",
        "import asyncio; return asyncio.run(model.agenerate('x', temperature=0))",
        "import asyncio; return asyncio.run(model.achat([{'role': 'user', 'content': 'x'}], temperature=0))",
    ],
)
async def test_a_call_is_answered(bench: Bench, call: str) -> None:
    report = await bench.run(f"def evaluate_model(model):\n    {call}")

    assert (report.outcome, report.result) == (RunOutcome.COMPLETED, "answer to x")
    assert bench.asked[0].options == {"temperature": 0}
    assert [event.request for event in bench.events if isinstance(event, Asked)] == bench.asked
    assert report.record.attempts == ()


async def test_a_large_prompt_arrives_whole(bench: Bench) -> None:
    report = await bench.run("def evaluate_model(model): return len(model.generate('é' * 300_000))")

    assert report.result == 300_000 + len("answer to ")


@pytest.mark.parametrize("script", [TOGETHER, IN_THREADS])
async def test_many_calls_are_in_flight_at_once_but_not_too_many(bench: Bench, script: str) -> None:
    report = await bench.run(script, parallel=MAX_MODEL_PARALLEL)

    assert report.result == [f"answer to {i}" for i in range(40)]
    assert 1 < bench.most_at_once <= MAX_MODEL_PARALLEL


@pytest.mark.parametrize(
    ("kind", "error"), [(ModelErrorKind.BUDGET, "BudgetExceeded"), (ModelErrorKind.TIMEOUT, "ModelError")]
)
async def test_a_call_without_an_answer_raises(bench: Bench, kind: ModelErrorKind, error: str) -> None:
    async def refuse(request: ModelRequest) -> ModelAnswer:
        return ModelAnswer(call=request.call, error=kind, message="not today")

    bench.answer = refuse  # type: ignore[method-assign]
    script = (
        "from airlock_runtime import BudgetExceeded, ModelError\n"
        "def evaluate_model(model):\n"
        "    try: model.generate('x')\n"
        f"    except {error} as error: return [type(error).__name__, str(error)]"
    )

    report = await bench.run(script)

    assert report.result == [error, "not today"]


async def test_a_call_that_is_none_is_invalid_and_asks_nobody(bench: Bench) -> None:
    report = await bench.run(
        "from airlock_runtime import ModelError\n"
        "def evaluate_model(model):\n"
        "    try: model.chat([{'role': 'nobody', 'content': 1}])\n"
        "    except ModelError as error: return [error.kind, str(error)]"
    )

    assert report.result == ["invalid", NO_CALL]
    assert bench.asked == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("generate('x', foo=object())", "Object of type object is not JSON serializable"),
        ("generate(b'x')", "Object of type bytes is not JSON serializable"),
        ("generate('x', temperature=float('nan'))", "Out of range float values are not JSON compliant"),
    ],
)
async def test_a_call_that_is_not_json_is_invalid_too(bench: Bench, call: str, words: str) -> None:
    report = await bench.run(f"def evaluate_model(model):\n    return model.{call}")

    assert report.outcome is RunOutcome.EXCEPTION
    assert report.message.startswith(f"ModelError: not a call that a model takes: {words}")
    assert bench.asked == []


async def test_a_failed_call_is_told_with_the_script_s_lines_alone(bench: Bench) -> None:
    async def refuse(request: ModelRequest) -> ModelAnswer:
        return ModelAnswer(call=request.call, error=ModelErrorKind.TIMEOUT, message="not today")

    bench.answer = refuse  # type: ignore[method-assign]
    report = await bench.run(
        "def ask(model):\n"
        "    try: model.generate('x')\n"
        "    except Exception as error: raise RuntimeError('no answer') from error\n"
        "def evaluate_model(model):\n"
        "    ask(model)"
    )

    lines = [line for line in report.traceback.splitlines() if line.startswith("  File ")]
    assert [line.split(", line ")[0] for line in lines] == ['  File "script.py"'] * 3
    assert "airlock_runtime.ModelError: not today" in report.traceback
