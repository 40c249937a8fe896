"""The runner: the first process inside every sandbox. It starts the script behind the inner wall and tells the worker.

worker  --order, start, answer, stop-->  runner  --began, output, tried, ask, result, failed, receipt-->  worker

It is mortal: a run without its receipt is judged by the backend's own evidence. It waits for nobody but in `poll`, and
ends with its standard input: a worker that is gone leaves nothing running.
"""

from __future__ import annotations

import os
import select
import sys
import time

from sandbox.box.guard import stand_guard
from sandbox.box.line_to_worker import LineToWorker
from sandbox.box.order import Order
from sandbox.box.process_tree import kill_descendants
from sandbox.box.run import Run
from sandbox.box.script_process import Refused
from sandbox.box.waking import woken
from sandbox.controls.kernel import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    ControlUnavailable,
    prctl,
    require_platform,
)
from sandbox.light import loads, signal

PARTING = 2.0
"""Seconds without any progress for the worker to confirm everything, the receipt last."""


def main(guest: bytes) -> None:
    """Serve one run. `guest` is what the script's interpreter reads first."""
    line = LineToWorker()
    os.set_blocking(1, False)
    try:
        order = _ordered(line)
        if order.wall_spec().machine is None:
            require_platform()  # a kernel of the box's own has to show another way that it is the one it should be
        _prepare(order)
        _run(order, line, guest)
    except (Refused, ControlUnavailable) as refusal:
        line.say(
            "refused",
            {
                "message": str(refusal),
                "checks": getattr(refusal, "checks", {}),
                "details": getattr(refusal, "details", {}),
            },
        )
        kill_descendants(os.getpid())
    _part(line)


def _run(order: Order, line: LineToWorker, guest: bytes) -> None:
    run = Run(order, line, guest)
    signal.signal(signal.SIGTERM, lambda _number, _frame: run.abandon())
    run.prove()
    while not any(message.kind == "start" for message in line.read()):
        if line.closed:
            run.abandon()
        run.wait_for_worker()
    run.go()
    run.serve()


def _ordered(line: LineToWorker) -> Order:
    while True:
        for message in line.read():
            order = Order.from_json(loads(message.text))
            line.use_key(bytes.fromhex(order.key))
            return order
        if line.closed:
            sys.exit(1)


def _prepare(order: Order) -> None:
    """Out of the script's reach, and the parent of all that loses its own."""
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if order.guarded:
        stand_guard()
    os.set_blocking(0, False)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    woken()


def _part(line: LineToWorker) -> None:
    """Leave when the worker has everything, or is gone."""
    left, until = line.left, time.monotonic() + PARTING
    while not line.closed and any(line.left) and time.monotonic() < until:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        if line.to_write:
            poll.register(1, select.POLLOUT)
        poll.poll(100)
        line.write()
        line.read()
        if line.left != left:
            left, until = line.left, time.monotonic() + PARTING
    os._exit(0)
