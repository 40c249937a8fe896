"""What hexora's embedded model thinks of a script. Loaded by the analysis child alone."""

from __future__ import annotations

import fcntl
import os
from typing import Any

import hexora  # pyright: ignore[reportMissingTypeStubs] - it has none

PIPE_BYTES = 1 << 20
"""What an unprivileged process may ask for, and four times the largest script."""


class Hexora:
    """A `Scorer`. Hexora reads paths only; the child may write no file, so the script goes through a pipe."""

    def score(self, source: bytes) -> float | None:
        """The model's score, None where hexora has none or cannot read the script."""
        reading, writing = os.pipe()
        try:
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            os.set_blocking(writing, False)
            os.write(writing, source)
            os.close(writing)
            writing = -1
            audited: Any = hexora.audit_file(f"/proc/self/fd/{reading}")
        except BaseException:  # noqa: BLE001 - a panic of Rust is no Exception; whatever it raises, it has no opinion
            return None
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        scores = [each.get("score") for each in audited]
        return max((score for score in scores if isinstance(score, float)), default=None)
