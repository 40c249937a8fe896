"""The program that analyses scripts statically: run by our own interpreter as `python -I analysis_child.py`."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # -I leaves out the program's own folder

# The imports below are found only by the line above.
from detection.bandit_opinion import Bandit
from detection.child_protocol import Frame, at_most_more, serve
from detection.hexora_opinion import Hexora
from detection.notes import MAX_NOTES, note
from detection.readable_texts import without_texts
from detection.scoring import THRESHOLD, Scorer
from detection.script_analysis import Script, acceptable, own_notes

CPU_SECONDS = 6
"""256 KiB take less than two."""
SCORER_BYTES = 128 << 20
"""On top of what the child has. The model unfolds names into one another, doubling at each step where a script says so,
and ends the process where it gets no more. Scripts of 256 KiB that were not made for that take half."""
RECURSION_LIMIT = 20_000
"""Bandit and the rules recurse over trees whose depth the quick checks have capped; memory is bounded by rlimit."""


def prepare(hello: Frame) -> Callable[[Frame], Frame]:
    """The function that answers requests, with the bandit tests that `hello` lists."""
    sys.setrecursionlimit(RECURSION_LIMIT)
    bandit, scorer = Bandit(hello["bandit"]), Hexora()
    _analyse(b"import os\nprint(os.path.join('warm', 'up'))\n", bandit, scorer)

    def answer(request: Frame) -> Frame:
        return _analyse(base64.b64decode(request["source"]), bandit, scorer if request["learned"] else None)

    return answer


def _analyse(source: bytes, bandit: Bandit, scorer: Scorer | None) -> Frame:
    script = acceptable(source)
    if not isinstance(script, Script):
        return {"notes": [script], "bandit": [], "score": None}
    try:
        notes = own_notes(script)
        opinions = bandit.opinions(source)
    except (RecursionError, MemoryError):
        return {"notes": [note("not_analysed")], "bandit": [], "score": None}
    return {
        "notes": notes[:MAX_NOTES],
        "bandit": [each._asdict() for each in opinions[:MAX_NOTES]],
        "score": None if scorer is None else _score(script, scorer),
    }


def _score(script: Script, scorer: Scorer) -> float | None:
    """The score, without the texts where it would be a finding: what prompts ask about is not what a script does."""
    with at_most_more(SCORER_BYTES):
        whole = scorer.score(script.source)
        if whole is None or whole < THRESHOLD:
            return whole
        rest = scorer.score(without_texts(script))
    return whole if rest is None else min(whole, rest)


if __name__ == "__main__":
    serve(prepare, CPU_SECONDS)
