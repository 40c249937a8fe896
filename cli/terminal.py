"""What is shown: untrusted text without its power over a terminal, tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import JsonValue
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

UNBOUNDED = 10_000
"""Columns where nobody looks on: a file or another program must not get cells that are folded."""


class _Shown(Console):
    """A console that is as wide as the terminal, or as what it prints where there is none."""

    @property
    def options(self) -> ConsoleOptions:
        """What it is drawn with."""
        return super().options if self.is_terminal else super().options.update(width=UNBOUNDED)

    def on_broken_pipe(self) -> None:
        """Nobody reads an answer any more: there is nothing left to do. What is said beside it is not worth an end."""
        if self.stderr:
            self.quiet = True
        else:
            super().on_broken_pipe()


OUT = _Shown(highlight=False, markup=False, emoji=False, soft_wrap=True)
ERR = _Shown(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

_SEQUENCES = re.compile(
    r"""
    (?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]) .*? (?:\x07|\x1b\\|\x9c|$)   # strings: titles, links, clipboards
    | (?:\x1b\[|\x9b) [0-?]* [ -/]* [@-~]?                            # colours, the cursor, the screen
    | \x1b [ -/]* [0-~]?                                              # everything else that begins with ESC
    """,
    re.VERBOSE | re.DOTALL,
)
_KEPT = frozenset("\n\t")
_SHOWN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Categories that move, hide or reverse what stands beside them: shown as their number instead."""


def clean(text: str) -> str:
    """`text` with escape sequences removed and every other invisible character made visible."""
    return "".join(_visible(letter) for letter in _SEQUENCES.sub("", text.replace("\r\n", "\n")))


def untrusted(text: str, style: str = "") -> Text:
    """`text` of somebody else, ready to be shown: cleaned, and never read as markup."""
    return Text(clean(text), style=style)


def print_json(value: JsonValue | dict[str, Any] | list[Any]) -> None:
    """One JSON document on one line, in ASCII alone: nothing in it reaches a terminal as anything but letters."""
    OUT.print(json.dumps(value, ensure_ascii=True), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text | None]]) -> Table:
    """A table of untrusted cells."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else untrusted(cell or "-") for cell in row))
    return made


def aligned(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Text:
    """Untrusted cells in columns that are never narrowed: the terminal wraps a line that is too long for it."""
    cells = [[cell if isinstance(cell, Text) else untrusted(cell) for cell in row] for row in rows]
    lines = [[Text(column, "bold") for column in columns], *cells]
    for line in lines:
        for cell in line:
            cell.plain = cell.plain.replace("\n", "\\n")
    widths = [max(cell_len(line[index].plain) for line in lines) for index in range(len(columns))]
    made = Text("\n").join(
        Text("  ").join(_padded(cell, width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    made.rstrip()
    return made


def _padded(cell: Text, width: int) -> Text:
    padded = cell.copy()
    padded.append(" " * (width - cell_len(cell.plain)))
    return padded


def _visible(letter: str) -> str:
    if letter in _KEPT or unicodedata.category(letter) not in _SHOWN:
        return letter
    return letter.encode("unicode_escape").decode("ascii")
