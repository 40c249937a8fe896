"""How a child process that reads scripts talks to its owner and bounds itself. Standard library only."""

from __future__ import annotations

import gc
import json
import os
import resource
import struct
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 4 * 1024 * 1024
MEMORY_BYTES = 448 << 20
"""Address space of a child: a script of 256 KiB needs about half of it."""
RETIRE_ABOVE_KIB = 300 << 10
"""A child whose memory peaked above this asks to be replaced: its heap would not shrink again."""

Frame = dict[str, Any]


def pack(frame: Frame) -> bytes:
    """A frame as bytes: four bytes of length, then JSON."""
    body = json.dumps(frame, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return HEADER.pack(len(body)) + body


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame, None at the end of the stream."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (length,) = HEADER.unpack(header)
    return json.loads(stream.read(length)) if length <= MAX_FRAME_BYTES else None


def serve(prepare: Callable[[Frame], Callable[[Frame], Frame]], cpu_seconds: int) -> None:
    """Answer frames on stdin until it ends. The first frame configures, and is answered when the child is ready.

    A child that needs more than `cpu_seconds` of processor time for one frame is killed by the kernel, even when its
    owner is gone.
    """
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    sys.stdout = sys.stderr  # whatever a library prints must not look like a frame
    hello = read_frame(incoming)
    if hello is None:
        return
    answer = prepare(hello)
    _bound_resources()
    gc.disable()  # a tree is one big cycle of young objects: collecting while it is built costs more than building it
    gc.freeze()
    _send(outgoing, {"ready": True})
    while (request := read_frame(incoming)) is not None:
        _allow_more_cpu(cpu_seconds)
        reply = _answer_or_failure(answer, request)
        reply["retire"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > RETIRE_ABOVE_KIB
        _send(outgoing, reply)
        gc.collect()


def _answer_or_failure(answer: Callable[[Frame], Frame], request: Frame) -> Frame:
    try:
        return answer(request)
    except Exception as error:  # noqa: BLE001 - a bug of ours must not look like a script that kills its reader
        return {"failed": type(error).__name__}


def _send(outgoing: BinaryIO, frame: Frame) -> None:
    outgoing.write(pack(frame))
    outgoing.flush()


@contextmanager
def at_most_more(size: int) -> Generator[None]:
    """While this is entered the process may take `size` bytes of address space more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize() + size
    resource.setrlimit(resource.RLIMIT_AS, (wanted if soft == resource.RLIM_INFINITY else min(wanted, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _bound_resources() -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        _, hard = resource.getrlimit(kind)
        wanted = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (wanted, wanted))


def _allow_more_cpu(seconds: int) -> None:
    # The limit counts from the start of the process: each script gets its share on top of what is used up.
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
