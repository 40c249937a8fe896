"""Ports to listen on: the usual one, or the next that is free."""

from __future__ import annotations

import socket
from collections.abc import Callable

HOST = "127.0.0.1"
"""Nothing of the embedded stack can be reached from another machine."""
TRIES = 200
"""Ports that are looked at before it is given up."""


def free_port(usual: int, use: str, taken: set[int], tell: Callable[[str], None]) -> int:
    """A port on which nobody listens; `usual` 0 means any. Tells where it is another one than the usual.

    Adds it to `taken`: what was chosen before and is not listened on yet. Raises OSError where none is free.
    """
    for port in (usual + step for step in range(TRIES)) if usual else (0,):
        chosen = _bound(port) if port not in taken else None
        if chosen is None:
            continue
        if usual and chosen != usual:
            tell(f"Port {usual} is taken: {use} is on port {chosen}.")
        taken.add(chosen)
        return chosen
    raise OSError(f"no port is free for {use} from {usual} to {usual + TRIES - 1}")


def _bound(port: int) -> int | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a moment ago is free
        try:
            probe.bind((HOST, port))
            probe.listen()  # with that option, binding alone succeeds beside another's socket that does not listen yet
        except OSError:
            return None
        return int(probe.getsockname()[1])
