"""What is shown: untrusted text without its power over a terminal, tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table
from rich.text import Text

OUT = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
ERR = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

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


def _visible(letter: str) -> str:
    if letter in _KEPT or unicodedata.category(letter) not in _SHOWN:
        return letter
    return letter.encode("unicode_escape").decode("ascii")
