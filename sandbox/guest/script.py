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
_MAX_MESSAGE, _MAX_TRACEBACK, _MAX_PLACE = 1000, 4000, 200
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
        message = f"evaluate_model returned something that is not JSON: {_words_of(error)}{_place_in(value)}"
        airlock_runtime.send("unfit", _as_json({"message": _plain(message[:_MAX_MESSAGE])}).encode("ascii"))
    else:
        airlock_runtime.send("result", text.encode("ascii"))


def _as_json(value: Any) -> str:
    """As `json.dumps` writes it, without what `json` loads to read. Raises TypeError, ValueError, RecursionError."""
    try:
        from _json import encode_basestring_ascii, make_encoder
    except ImportError:  # another build of Python
        import json

        return json.dumps(value, allow_nan=False, default=_unknown)
    encode = make_encoder({}, _unknown, encode_basestring_ascii, None, ": ", ", ", False, False, False)  # noqa: FBT003
    return "".join(encode(value, 0))


def _unknown(value: object) -> object:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable{_instead_of(type(value))}")


def _instead_of(kind: type) -> str:
    """What an author most likely meant."""
    if hasattr(kind, "__await__"):
        return " (is an `await` missing?)"
    if hasattr(kind, "__dataclass_fields__"):
        return " (`dataclasses.asdict` makes it so)"
    if hasattr(kind, "tolist"):
        return " (`.tolist()` makes it so)"
    if hasattr(kind, "isoformat"):
        return " (`.isoformat()` makes it so)"
    return " (a list is)" if hasattr(kind, "__next__") or issubclass(kind, (set, frozenset)) else ""


def _place_in(value: object) -> str:
    """Where in a result its first piece is that is not JSON, as Python writes it. Empty where that is all of it."""
    place, seen = "", {id(value)}
    while len(place) < _MAX_PLACE:
        found = next(((at, piece) for at, piece in _pieces_of(value) if not _fits(piece)), None)
        if found is None or not isinstance(found[0], (str, int)):
            break
        place += f"[{found[0]!r:.50}]"
        value = found[1]
        if id(value) in seen:
            break
        seen.add(id(value))
    return place and f", at {place}"


def _pieces_of(value: Any) -> list[tuple[object, object]]:
    if issubclass(type(value), dict):
        return [*value.items()]
    return [*enumerate(value)] if issubclass(type(value), (list, tuple)) else []


def _fits(value: object) -> bool:
    try:
        _as_json(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def _tell_failure(error: BaseException, source: bytes) -> None:
    import linecache
    import traceback

    lines = source.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[NAME] = (len(source), None, lines, NAME)
    told = error.with_traceback(_below_us(error.__traceback__))
    try:
        trace = _plain("".join(traceback.format_exception(told, limit=-20))[-_MAX_TRACEBACK:])
    except BaseException:  # noqa: BLE001 - the script's own __str__ may do anything
        trace = type(error).__name__
    message = _plain(f"{type(error).__name__}: {_words_of(error)}".removesuffix(": ")[:_MAX_MESSAGE])
    words = {"type": type(error).__name__[:100], "errno": _number_of(error), "message": message}
    airlock_runtime.send("failed", _as_json({**words, "traceback": trace}).encode("ascii"))
    sys.stderr.write(trace)


def _plain(text: str) -> str:
    """Half a surrogate pair, as of a file's name that is not UTF-8, is no text that JSON could carry."""
    return text.encode("utf-8", "backslashreplace").decode()


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
