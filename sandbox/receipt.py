"""What a runner says at the end, what the script's process claims, and what both amount to. Pure."""

from __future__ import annotations

import errno
import json
import math
import signal
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, JsonValue, ValidationError

from domain.errors import RunnerLost
from domain.limits import MAX_RESULT_DEPTH
from domain.outcomes import RunOutcome
from domain.values import Value

_MAX_MESSAGE, _MAX_TRACEBACK = 1000, 4000
_NOT_JSON = "what evaluate_model returned is not JSON"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Receipt(Value):
    """The runner's own account of a run, taken after every process of it was dead."""

    exit_code: int | None = None
    signal: int | None = None
    ended: str = ""
    """Why the runner ended it: timeout, stop, output, memory, processes, disk, result. Empty where it did not."""
    kind: str | None = None
    """`evaluation` or `program`, as the script's process claims; None where it was gone before it said so."""
    result_bytes: int = 0
    started: bool = False
    record: dict[str, int] = Field(default_factory=dict)
    wall_ms: int = 0
    cpu_ms: int = 0
    peak_memory_bytes: int = 0
    output_bytes: int = 0
    output_truncated: bool = False
    scratch_full: bool = False


class ScriptWords(Value):
    """How the script failed, as its own process tells."""

    unfit: bool = False
    """Whether it returned something that is not JSON."""
    deep: bool = False
    type: str = ""
    errno: int | None = None
    message: str = ""
    traceback: str = ""

    @classmethod
    def claimed(cls, kind: str, text: str) -> Self:
        """Read them; whatever is not understood is no more than a failure without words."""
        try:
            words = cls.model_validate_json(text)
        except ValidationError:
            words = cls()
        cut = {"message": _plain(words.message)[:_MAX_MESSAGE], "traceback": _plain(words.traceback)[-_MAX_TRACEBACK:]}
        return words.model_copy(update={**cut, "unfit": kind == "unfit"})


class Evidence(Value):
    """What was seen from outside a run."""

    out_of_memory: bool = False
    """The kernel killed something of it for want of memory."""
    processes_refused: bool = False
    """The kernel refused it a process."""
    killed: bool = False
    """Somebody ordered its end from another process."""
    stopped: bool = False
    """`stop` was set."""
    overdue: bool = False
    """It outlived its wall-clock time, and was ended from outside."""


class RunEnd(Value):
    """How a run ended."""

    outcome: RunOutcome
    message: str = ""
    traceback: str = ""
    has_result: bool = False
    result: JsonValue = None


def end_of(
    receipt: Receipt | None,
    words: ScriptWords | None,
    result: str | None,
    evidence: Evidence,
    limits: Mapping[str, int],
) -> RunEnd:
    """What became of the script. `limits` has cpu_seconds and result_bytes. Raises RunnerLost where nothing tells."""
    if receipt is None:
        return _without_receipt(evidence)
    by_runner = _ended_by_runner(receipt)
    if by_runner is not None:
        return by_runner
    if result is not None:
        return _with_result(result, receipt.result_bytes, limits["result_bytes"])
    by_limit = _by_limit(receipt, words, evidence, limits)
    if by_limit is not None:
        return by_limit
    if words is not None and words.unfit:
        outcome = RunOutcome.RESULT_LIMIT if words.deep else RunOutcome.INVALID_RESULT
        return RunEnd(outcome=outcome, message=words.message or _NOT_JSON)
    return _by_itself(receipt, words)


def _without_receipt(evidence: Evidence) -> RunEnd:
    """The runner is gone without a word: what the backend saw decides."""
    if evidence.stopped or evidence.killed:
        return RunEnd(outcome=RunOutcome.STOPPED, message="the run was ended from outside")
    if evidence.overdue:
        return RunEnd(outcome=RunOutcome.TIMED_OUT, message="the wall-clock time was used up")
    if evidence.out_of_memory:
        return RunEnd(outcome=RunOutcome.MEMORY_LIMIT, message="the kernel ended the run for want of memory")
    if evidence.processes_refused:
        return RunEnd(outcome=RunOutcome.PROCESS_LIMIT, message="the run ended for want of processes")
    raise RunnerLost("the run ended without a receipt, and nothing else tells how")


def _ended_by_runner(receipt: Receipt) -> RunEnd | None:
    outcome = {
        "timeout": (RunOutcome.TIMED_OUT, "the wall-clock time was used up"),
        "stop": (RunOutcome.STOPPED, "stopped"),
        "output": (RunOutcome.OUTPUT_LIMIT, "the output went on long after its limit"),
        "memory": (RunOutcome.MEMORY_LIMIT, "all processes together used more memory than allowed"),
        "processes": (RunOutcome.PROCESS_LIMIT, "more processes and threads at once than allowed"),
        "disk": (RunOutcome.DISK_LIMIT, "the scratch space is used up"),
    }.get(receipt.ended)
    return None if outcome is None else RunEnd(outcome=outcome[0], message=outcome[1])


def _by_limit(
    receipt: Receipt, words: ScriptWords | None, evidence: Evidence, limits: Mapping[str, int]
) -> RunEnd | None:
    """A limit that explains an end which is not a good one."""
    message = words.message if words is not None else ""
    trace = words.traceback if words is not None else ""
    if receipt.exit_code == 0 and words is None:
        return None
    if receipt.signal == signal.SIGXCPU or _cpu_used_up(receipt, limits["cpu_seconds"]):
        return RunEnd(outcome=RunOutcome.CPU_LIMIT, message="the processor time of a process was used up")
    kind = words.type if words is not None else ""
    number = words.errno if words is not None else None
    if evidence.out_of_memory or kind == "MemoryError" or kind.endswith("MemoryError"):
        return RunEnd(outcome=RunOutcome.MEMORY_LIMIT, message=message or "the memory is used up", traceback=trace)
    if _process_limit(receipt, evidence, kind, number, message):
        return RunEnd(outcome=RunOutcome.PROCESS_LIMIT, message=message or "too many processes", traceback=trace)
    if number in _FULL or (receipt.scratch_full and words is not None):
        return RunEnd(outcome=RunOutcome.DISK_LIMIT, message=message or "the scratch space is used up", traceback=trace)
    return None


def _cpu_used_up(receipt: Receipt, seconds: int) -> bool:
    return receipt.signal == signal.SIGKILL and receipt.cpu_ms >= seconds * 1000


def _process_limit(receipt: Receipt, evidence: Evidence, kind: str, number: int | None, message: str) -> bool:
    hits = receipt.record.get("process_limit_hits", 0) > 0 or evidence.processes_refused
    return (
        hits
        or (kind == "RuntimeError" and "can't start new thread" in message)
        or (kind == "BlockingIOError" and number == errno.EAGAIN)
    )


def _by_itself(receipt: Receipt, words: ScriptWords | None) -> RunEnd:
    if words is not None:
        return RunEnd(outcome=RunOutcome.EXCEPTION, message=words.message, traceback=words.traceback)
    if receipt.signal is not None:
        name = _signal_name(receipt.signal)
        if receipt.signal == signal.SIGSYS:
            return RunEnd(outcome=RunOutcome.FORBIDDEN_OPERATION, message="a system call that no script may make")
        return RunEnd(outcome=RunOutcome.SIGNALLED, message=f"ended by {name}")
    if receipt.kind != "program":
        return RunEnd(outcome=RunOutcome.EARLY_EXIT, message="the process ended before evaluate_model had returned")
    if receipt.exit_code == 0:
        return RunEnd(outcome=RunOutcome.COMPLETED)
    return RunEnd(outcome=RunOutcome.NONZERO_EXIT, message=f"exit code {receipt.exit_code}")


def _with_result(text: str, size: int, limit: int) -> RunEnd:
    if size > limit:
        return RunEnd(outcome=RunOutcome.RESULT_LIMIT, message=f"the result is larger than {limit} bytes")
    try:
        value = _strictly(text)
    except _TooDeep:
        return RunEnd(outcome=RunOutcome.RESULT_LIMIT, message=f"the result is nested deeper than {MAX_RESULT_DEPTH}")
    except ValueError as error:
        return RunEnd(outcome=RunOutcome.INVALID_RESULT, message=f"{_NOT_JSON}: {error}"[:_MAX_MESSAGE])
    return RunEnd(outcome=RunOutcome.COMPLETED, has_result=True, result=value)


class _TooDeep(ValueError):
    pass


def _strictly(text: str) -> JsonValue:
    """JSON as others understand it. Raises ValueError for NaN, infinities, duplicate keys and lone surrogates."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise _TooDeep from None
    _check_depth(value)
    if "\\ud" in text or "\\uD" in text:
        _check_characters(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _check_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    for _ in range(MAX_RESULT_DEPTH + 1):
        level = [child for each in level for child in _children(each)]
        if not level:
            return
    raise _TooDeep


def _children(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_characters(value: JsonValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text has half a surrogate pair") from None


def _plain(text: str) -> str:
    """Without halves of surrogate pairs, which no encoding takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
