"""Code that a script hides in its texts, analysed like a script, within bounds."""

from __future__ import annotations

import ast
from collections.abc import Callable

from detection.disguises import as_code
from detection.notes import Note
from detection.static_tables import GRAVE_IN_DISGUISE

MAX_LAYERS = 5
"""Encodings within encodings. What is deeper was found suspicious on the way."""
MAX_CHARACTERS = 1 << 20
"""Of all texts of one script together, those within texts included."""


class Rescans:
    """Looks at each hidden text once, and remembers how much there was to look at."""

    def __init__(self, check: Callable[[ast.Module, Rescans], list[Note]]) -> None:
        self._check = check
        self._known: dict[str, list[str]] = {}
        self._characters = 0
        self._layer = 0

    @property
    def exhausted(self) -> bool:
        """Whether some text was not looked at because there are too many."""
        return self._characters > MAX_CHARACTERS

    def grave_rules(self, text: str) -> list[str]:
        """The rules that make hiding `text` a finding, in order."""
        if text not in self._known:
            self._known[text] = []
            self._characters += len(text)
            self._known[text] = self._look_into(text)
        return self._known[text]

    def _look_into(self, text: str) -> list[str]:
        if self._layer >= MAX_LAYERS or self.exhausted:
            return []
        code = as_code(text)
        if code is None:
            return []
        self._layer += 1
        try:
            return sorted({found["rule"] for found in self._check(code, self)} & GRAVE_IN_DISGUISE)
        finally:
            self._layer -= 1
