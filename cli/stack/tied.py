"""Becomes another program, which ends when its parent does: `python -m cli.stack.tied PARENT PROGRAM ...`.

The backstop of everything that `airlock up` starts: a supervisor that is killed cannot stop its children itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie, then become the program. Exits with 1 where the parent is gone already."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the tie was made
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - this module is for nothing else


if __name__ == "__main__":
    main()
