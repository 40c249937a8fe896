"""The program that analyses scripts statically: run by our own interpreter as `python -I analysis_child.py`."""

from __future__ import annotations

import ast
import base64
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # -I leaves out the program's own folder

from detection.bandit_opinion import Bandit
from detection.child_protocol import Frame, serve
from detection.notes import MAX_NOTES, Note, note
from detection.quick_checks import parse, quick_checks
from detection.source_text import fatal_note
from detection.static_rules import static_notes

RECURSION_LIMIT = 20_000
"""Bandit and the rules recurse over trees whose depth the quick checks have capped; memory is bounded by rlimit."""


def prepare(hello: Frame) -> Callable[[Frame], Frame]:
    """The function that answers requests, with the bandit tests that `hello` lists."""
    sys.setrecursionlimit(RECURSION_LIMIT)
    bandit = Bandit(hello["bandit"])
    _analyse(b"import os\nprint(os.path.join('warm', 'up'))\n", bandit)

    def answer(request: Frame) -> Frame:
        return _analyse(base64.b64decode(request["source"]), bandit)

    return answer


def _analyse(source: bytes, bandit: Bandit) -> Frame:
    refusal, tree = _acceptable(source)
    if tree is None:
        return {"notes": [refusal], "bandit": []}
    try:
        notes = [*_compile_notes(source), *static_notes(tree)]
        opinions = bandit.opinions(source)
    except (RecursionError, MemoryError):
        return {"notes": [note("not_analysed")], "bandit": []}
    return {"notes": notes[:MAX_NOTES], "bandit": [each._asdict() for each in opinions[:MAX_NOTES]]}


def _acceptable(source: bytes) -> tuple[Note | None, ast.Module | None]:
    """The tree, or why there is none: a script that the first stage refuses is not looked at again here."""
    fatal = fatal_note(source)
    if fatal is not None:
        return fatal, None
    parsed = parse(source)
    if not isinstance(parsed, ast.Module):
        return parsed, None
    for found in quick_checks(source, frozenset()).findings:
        if found["rule"] in {"too_deep", "too_many_nodes"}:
            return found, None
    return None, parsed


def _compile_notes(source: bytes) -> list[Note]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "<script>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", None), getattr(error, "offset", None)
        return [note("invalid_program", line=line, column=column, detail=getattr(error, "msg", "") or str(error))]
    return []


if __name__ == "__main__":
    serve(prepare)
