"""What the script's fresh interpreter does: load the script, call `evaluate_model` once, send what it returned.

All of it can be patched by the script, so that what it sends is the script's claim, and an exit before the end is seen
by the runner for what it is.
"""

from __future__ import annotations

import builtins
import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import Any

    from sandbox.guest import airlock_runtime
    from sandbox.guest import one_process as airlock_one_process
else:
    import airlock_one_process
    import airlock_runtime

NAME = "script.py"
_MAX_MESSAGE, _MAX_TRACEBACK = 1000, 4000
_RESERVE = [bytearray(4 << 20)]
"""Memory for the words of a script that has used up all the rest. Never touched, so that it costs nothing before."""


def main() -> None:
    """Run the script that the runner sends."""
    _, task_text = airlock_runtime.receive()
    _, source = airlock_runtime.receive()
    task = marshal.loads(task_text)  # noqa: S302 - from the runner
    sys.path.extend(task["paths"])
    sys.argv = [NAME]
    builtins.exit = builtins.quit = sys.exit  # site would have defined them
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    airlock_one_process.explain()
    if b"random" in source:
        import random

        random.seed(task["seed"])
    try:
        _run(source, task)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever reaches the top of a script is told
        _RESERVE.clear()
        _tell_failure(error, source)
        raise SystemExit(1) from None


def _run(source: bytes, task: dict[str, Any]) -> None:
    code = compile(source, NAME, "exec", dont_inherit=True)
    is_evaluation = "evaluate_model" in code.co_names
    airlock_runtime.send("kind", b"evaluation" if is_evaluation else b"program")
    module = _executed(code, source, "script" if is_evaluation else "__main__")
    evaluate = module.get("evaluate_model")
    if not callable(evaluate):
        airlock_runtime.send("kind", b"program")
        return
    airlock_runtime.send("kind", b"evaluation")
    value = evaluate(airlock_runtime.Model(task["model_id"]), **task["params"])
    if hasattr(value, "__await__"):
        import asyncio

        value = asyncio.run(_awaited(value))
    _tell_result(value)


class _Source:
    """Gives `inspect`, `traceback` and `doctest` the script's text, which is in no file."""

    def __init__(self, source: bytes) -> None:
        self._source = source

    def get_source(self, _: str) -> str:
        """The text, for whatever module it is asked: only the script's names this loader."""
        import importlib.util

        return importlib.util.decode_source(self._source)


def _executed(code: CodeType, source: bytes, name: str) -> dict[str, Any]:
    """Its names. An evaluation is imported, as harnesses do: what it does as a program is for its author's desk."""
    module = type(sys)(name)
    module.__file__ = NAME
    module.__loader__ = _Source(source)  # type: ignore[assignment]
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = sys.modules[name] = module
    exec(code, module.__dict__)  # noqa: S102 - this is what a sandbox is for
    return module.__dict__


async def _awaited(value: Any) -> Any:
    return await value


def _tell_result(value: Any) -> None:
    try:
        text = _as_json(value)
    except RecursionError:
        airlock_runtime.send("unfit", b'{"deep": true, "message": "the result is nested too deeply"}')
    except (TypeError, ValueError, OverflowError) as error:
        message = f"evaluate_model returned something that is not JSON: {_words_of(error)}"
        airlock_runtime.send("unfit", _as_json({"message": message[:_MAX_MESSAGE]}).encode("ascii"))
    else:
        airlock_runtime.send("result", text.encode("ascii"))


def _as_json(value: Any) -> str:
    """As `json.dumps` writes it, without what `json` loads to read. Raises TypeError, ValueError, RecursionError."""
    try:
        from _json import encode_basestring_ascii, make_encoder
    except ImportError:  # another build of Python
        import json

        return json.dumps(value, allow_nan=False)
    encode = make_encoder({}, _unknown, encode_basestring_ascii, None, ": ", ", ", False, False, False)  # noqa: FBT003
    return "".join(encode(value, 0))


def _unknown(value: object) -> object:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _tell_failure(error: BaseException, source: bytes) -> None:
    import linecache
    import traceback

    lines = source.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[NAME] = (len(source), None, lines, NAME)
    told = error.with_traceback(_below_us(error.__traceback__))
    try:
        trace = "".join(traceback.format_exception(told, limit=-20))
    except BaseException:  # noqa: BLE001 - the script's own __str__ may do anything
        trace = type(error).__name__
    message = f"{type(error).__name__}: {_words_of(error)}"
    words = {"type": type(error).__name__[:100], "errno": _number_of(error), "message": message[:_MAX_MESSAGE]}
    airlock_runtime.send("failed", _as_json({**words, "traceback": trace[-_MAX_TRACEBACK:]}).encode("ascii"))
    sys.stderr.write(trace[-_MAX_TRACEBACK:])


def _below_us(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is the script's. None where it never came to that."""
    at = trace
    while at is not None and at.tb_frame.f_code.co_filename != NAME:
        at = at.tb_next
    return at


def _words_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - the script's own __str__ may do anything
        return "(an error without words)"


def _number_of(error: BaseException) -> int | None:
    number = error.errno if isinstance(error, OSError) else None
    return number if isinstance(number, int) else None


if __name__ == "airlock_script":
    main()
