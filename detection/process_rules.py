"""Rules about processes that are reached through the kernel, without a signal being sent. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from detection.notes import Note, note_at
from detection.resolving import Resolver

_OWNING = frozenset({8, 10, 15, 1024, 1026})
"""F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE and F_NOTIFY of Linux."""
_OF_PROCESSES = frozenset({"os", "posix", "signal", "fcntl", "resource", "psutil", "struct", "multiprocessing"})


def owner_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`fcntl.fcntl(pipe, 10, signal.SIGKILL)`: the kernel signals whom a script names as the owner of a descriptor."""
    if any(_OWNING & resolver.integers(each) for each in node.args[1:2]):
        yield note_at("hidden_process", node, evidence="fcntl.fcntl")


def parent_notes(calls: Sequence[ast.Call], resolver: Resolver) -> Iterator[Note]:
    """`os.sched_rr_get_interval(os.getppid())`: the process that runs the script, handed to the kernel."""
    for call in calls:
        if not any("os.getppid()" in resolver.meanings(each) for each in call.args):
            continue
        owner = call.func
        while isinstance(owner, ast.Attribute):
            owner = owner.value
        if any(each.partition(".")[0] in _OF_PROCESSES for each in resolver.meanings(owner)):
            yield note_at("hidden_process", call, evidence="os.getppid()")
