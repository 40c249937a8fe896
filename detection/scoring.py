"""The port of whoever gives a script one number: how much it is like malicious scripts that were seen elsewhere."""

from __future__ import annotations

from typing import Protocol

THRESHOLD = 0.8
"""From here on a script is suspicious. Scary words in an honest refusal test made 0.53, a reverse shell makes 0.93."""


class Scorer(Protocol):
    """Scores the bytes of one acceptable script."""

    def score(self, source: bytes) -> float | None:
        """A number from 0 to 1, None where it has no opinion. Raises nothing: an opinion is never needed."""
        ...
