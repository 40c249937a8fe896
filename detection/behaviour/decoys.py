"""Notices decoy secrets in what leaves a run: its output, its prompts, its result."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from domain.decoys import Decoys

_LINE_ENDS = str.maketrans("", "", "\r\n")


class DecoySearch:
    """Looks for one script's decoys in several texts, each told in pieces. Keeps no more than the end of each."""

    def __init__(self, decoys: Decoys) -> None:
        self._disguises = tuple(disguise for secret in decoys.secrets for disguise in _disguises(secret))
        self._longest = max((len(disguise) for disguise in self._disguises), default=1)
        self._ends: dict[str, str] = {}

    def found_in(self, where: str, piece: str) -> bool:
        """Whether a decoy is in `piece`, or ends there. Line ends do not count: a thief may print letter by letter."""
        text = self._ends.get(where, "") + piece.translate(_LINE_ENDS)
        self._ends[where] = text[1 - self._longest :] if self._longest > 1 else ""
        return any(disguise in text for disguise in self._disguises)


def _disguises(secret: str) -> Iterable[str]:
    """The forms in which a lazy thief carries a secret. A diligent one has others, but no network."""
    data = secret.encode("ascii")
    yield secret
    yield secret[::-1]
    yield data.hex()
    for offset in range(3):  # base64 depends on where in its text the secret begins
        encoded = base64.b64encode(b"\0" * offset + data).decode("ascii").rstrip("=")
        yield encoded[4 if offset else 0 : -2]
