"""A user id that nobody else on this machine has, for as long as one run takes.

Where the worker is root only: another user cannot choose. RLIMIT_NPROC and the right to signal go by user id, so that
runs which shared one would meet each other's limits.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Generator
from contextlib import contextmanager

from domain.errors import SandboxUnavailable

FIRST, COUNT = 60_000, 512
"""Below what containers usually map, above what systems hand out."""


@contextmanager
def leased_uid() -> Generator[int | None]:
    """Lease one; None where the worker is not root. Raises SandboxUnavailable where all are taken.

    A name in the abstract socket namespace is the lease: unique on the machine, and given back by the kernel.
    """
    if os.getuid() != 0:
        yield None
        return
    start = random.randrange(COUNT)  # noqa: S311 - two workers should not try the same ones first
    for place in range(COUNT):
        uid = FIRST + (start + place) % COUNT
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lease:
            try:
                lease.bind(f"\0airlock-uid-{uid}")
            except OSError:
                continue
            yield uid
            return
    raise SandboxUnavailable(
        f"all {COUNT} user ids for runs are taken: more runs are under way than one machine can have"
    )
