"""docs/sandbox-policy.md, made from the profiles: `python -m sandbox.profiles.page > docs/sandbox-policy.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from domain.limits import BOUNDS, RUN_LIMITS, Bound
from domain.runs import Backend
from sandbox.box.output_cap import FLOOD, MAX_LINE, MAX_LINES
from sandbox.local.namespaced import OPTIONS
from sandbox.local.places import SYSTEM_FILES, SYSTEM_ROOTS
from sandbox.profiles.tables import controls, telemetry

_SYSCALLS = Path(__file__).parent / "syscalls.txt"
_ACTIONS = {
    "allow": "passes",
    "watch": "recorded, passes",
    "ask": "recorded, judged by its registers",
    "refuse": "recorded, EPERM",
    "absent": "ENOSYS",
}
_HEAD = """# Sandbox policy

Made from the files in `sandbox/profiles` and from `domain/limits.py` by
`python -m sandbox.profiles.page > docs/sandbox-policy.md`; a test keeps it fresh. What is not written there is not in
force, and what is written there and not in force refuses the run.
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_HEAD, *_controls(), *_telemetry(), *_places(), *_limits(), *_calls()]) + "\n"


def _controls() -> Iterator[str]:
    yield "## Controls"
    yield ""
    yield "Each is observed inside the box before the script's first line. A run's level is the highest of those that"
    yield "were seen. One marked *where possible* is asked for only where the machine could give it to the run."
    yield ""
    heads = [backend.value for backend in Backend]
    yield from _table(
        ("control", "level", *heads, "observed by", "why"),
        (
            (
                f"`{each.name}`{' *where possible*' * each.where_possible}",
                str(each.level),
                *_marks(each.backends),
                each.observed,
                each.why,
            )
            for each in controls()
        ),
    )


def _telemetry() -> Iterator[str]:
    yield "## Telemetry"
    yield ""
    heads = [backend.value for backend in Backend]
    yield from _table(
        ("telemetry", *heads, "source", "what for"),
        ((f"`{each.name}`", *_marks(each.backends), each.source, each.why) for each in telemetry()),
    )


def _places() -> Iterator[str]:
    yield "## Files"
    yield ""
    yield "What a script's process can reach. Everything else is absent from its box, or denied by Landlock, or both."
    yield ""
    rows = [
        *((f"`{place}`", "read, execute", why) for place, why in SYSTEM_ROOTS.items()),
        *((f"`{place}`", "read", why) for place, why in SYSTEM_FILES.items()),
        ("`/dev/null`", "read, write", "where libraries throw things away"),
        ("the environment", "read, execute", "its interpreter and packages, where they are not below /usr"),
        (
            "the scratch directory",
            "read, write, never execute",
            "an empty work directory, and a home with decoy secrets; in memory where a box has mounts",
        ),
    ]
    yield from _table(("place", "right", "why"), rows)
    yield "bubblewrap, whose box gVisor has too, is started with:"
    yield ""
    yield from _table(("option", "why"), ((f"`{option}`", why) for option, why in OPTIONS.items()))


def _limits() -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "Of one run, from `domain/limits.py`. An operator may lower or raise both columns; zero is not `no limit`."
    yield ""
    rows = (
        (f"`{name}`", f"{bound.default:,}", f"{bound.maximum:,}", bound.unit, bound.why) for name, bound in _bounds()
    )
    yield from _table(("limit", "default", "at most", "unit", "why"), rows)
    yield f"Output has three stages. Up to `output_bytes`, and up to {MAX_LINES:,} lines, every line is kept;"
    yield f"one of more than {MAX_LINE:,} bytes goes on in the next. What is beyond is counted and thrown away, and"
    yield "the report says `output_truncated`; the script goes on and may end well. One that writes"
    yield f"{FLOOD} times `output_bytes` is ended, as `output_limit`."
    yield ""


def _bounds() -> Iterable[tuple[str, Bound]]:
    return ((name, BOUNDS[name]) for name in ("timeout", *RUN_LIMITS))


def _calls() -> Iterator[str]:
    yield "## System calls"
    yield ""
    yield "A call that is named nowhere ends with ENOSYS, one of another architecture (i386, x32) kills. Conditions"
    yield "are on registers: `1!&0x243`: argument 1 has no bit of 0x243. *unrecorded* holds where opens for reading are"
    yield "not recorded (executions), *unlistened* in gVisor, whose kernel tells nobody of calls."
    for title, lines in _sections():
        yield ""
        yield f"### {title}"
        yield ""
        yield from _table(("calls", "what happens", "conditions to pass", "why"), map(_call_row, lines))


def _sections() -> Iterator[tuple[str, list[str]]]:
    """Blocks of lines between empty ones. The first explains the format, which this page does itself."""
    for block in _SYSCALLS.read_text("ascii").split("\n\n")[1:]:
        title, *lines = block.strip().splitlines()
        yield title.removeprefix("# "), lines


def _call_row(line: str) -> tuple[str, ...]:
    text, _, why = line.partition(" | ")
    mode, colon, rest = text.partition(":")
    action_and_kind, *words = (rest if colon else text).split()
    action, _, kind = action_and_kind.partition("/")
    names = " ".join(word for word in words if not word[0].isdigit())
    conditions = " ".join(f"`{word}`" for word in words if word[0].isdigit())
    happens = _ACTIONS[action] + (f" (*{kind}*)" if kind else "") + (f", *{mode}*" if colon else "")
    return names, happens, conditions, why


def _marks(backends: frozenset[Backend]) -> list[str]:
    return ["yes" if backend in backends else "" for backend in Backend]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _row(head)
    yield _row(("---",) * len(head))
    for row in rows:
        yield _row(row)
    yield ""


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
