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

from sandbox.box.environment_digest import environment_digest, site_directories
from sandbox.box.guest_channel import GuestChannel, GuestSaid
from sandbox.box.line_to_worker import LineToWorker
from sandbox.box.order import Order
from sandbox.box.output_cap import OutputCap
from sandbox.box.process_tree import Reaper, kill_descendants, resident_bytes
from sandbox.box.scratch_size import bytes_filled, is_full
from sandbox.box.script_process import Refused, ScriptProcess, guest_task
from sandbox.controls.caller import threads_below
from sandbox.controls.kernel import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    ControlUnavailable,
    prctl,
    require_platform,
)
from sandbox.light import deque, loads, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOOK_EVERY = 0.05
"""Seconds between looks at memory and scratch space, where the runner has to watch them."""
END_WITHIN = 1.0
"""Seconds that an interpreter has to end after its result."""
PARTING = 2.0
"""Seconds without any progress for the worker to confirm everything, the receipt last."""
_READ = 64 * 1024
_STREAMS = ("stdout", "stderr")


class Run:
    """One script, from its start to its receipt."""

    def __init__(self, order: Order, line: LineToWorker, guest: bytes) -> None:
        self._order = order
        self._line = line
        self._reaper = Reaper()
        self._output = OutputCap(order.output_bytes)
        self._ended = ""
        """Why the run was ended from here; empty where the script ended by itself."""
        self._kind: str | None = None
        self._failed: dict[str, Any] | None = None
        self._result_bytes = 0
        self._has_result = False
        self._in_flight = 0
        self._over = False
        """Whether all of it is dead: nobody waits for an answer to a call any more."""
        self._script = ScriptProcess(order, lambda attempt: line.say("tried", attempt))
        self._guest = GuestChannel(self._script.guest.fileno(), order.result_bytes)
        self._pipes = {self._script.out: "stdout", self._script.err: "stderr"}
        self._guest_open = True
        self._unheard: deque[GuestSaid] = deque()
        """What the script's process has said, and what waits for a slot: so many calls fit into one read."""
        self._first_words = guest
        self._began_at = self._deadline = self._next_look = 0.0

    def prove(self) -> None:
        """Tell what is in force. Raises Refused."""
        digest = environment_digest(site_directories(self._order.python))
        checks, details = self._script.checked()
        self._line.say("began", {"checks": checks, "details": details, "environment_digest": digest})

    def wait_for_worker(self) -> None:
        """Until the worker says something, or for a second. The child waits for us, and makes no calls."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        if self._line.to_write:
            poll.register(1, select.POLLOUT)
        poll.poll(1000)
        self._line.write()

    def go(self) -> None:
        """Let the script start."""
        self._script.start()
        os.set_blocking(self._guest.fileno(), False)
        self._guest.say_raw(self._first_words)
        self._guest.say("task", guest_task(self._order))
        self._guest.say("script", self._order.script.encode("latin-1"))
        self._began_at = time.monotonic()
        self._deadline = self._began_at + self._order.timeout

    def serve(self) -> None:
        """Until the script has ended, for whatever reason, and everything that it started with it."""
        while not self._ended and self._script.pid not in self._reaper.statuses:
            for descriptor, event in self._poll().poll(self._patience()):
                self._attend(descriptor, event)
            self._reaper.collect()
            self._look_at_limits()
            if self._line.closed:
                self.abandon()
        self._end()

    def abandon(self) -> None:
        """Nobody listens any more: leave nothing behind."""
        self._reaper.collect_all(os.getpid())
        os._exit(1)

    def _poll(self) -> select.poll:
        """What is waited for now: a script that says more than is taken has to wait itself."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(_woken(), select.POLLIN)
        if self._line.to_write:
            poll.register(1, select.POLLOUT)
        if self._script.recorder.fileno() >= 0:
            poll.register(self._script.recorder, select.POLLIN)
        congested = self._line.congested
        for pipe in () if congested else self._pipes:
            poll.register(pipe, select.POLLIN)
        if self._guest_open:
            listens = not congested and not self._unheard
            events = select.POLLIN * listens | select.POLLOUT * self._guest.to_write
            if events:
                poll.register(self._guest.fileno(), events)
        return poll

    def _patience(self) -> int:
        watched = self._order.resident_bytes or self._order.scratch_bytes or self._order.tasks
        until = min(self._deadline, self._next_look or self._deadline) if watched else self._deadline
        return max(0, int((until - time.monotonic()) * 1000) + 1)

    def _attend(self, descriptor: int, event: int) -> None:
        script = self._script
        if descriptor == script.recorder.fileno():
            if event & select.POLLIN:
                script.recorder.serve_one()
            else:
                script.recorder.close()  # hung up: nobody is left behind the filter
        elif descriptor in self._pipes:
            self._read_output(descriptor)
        elif descriptor == self._guest.fileno():
            self._attend_guest(event)
        elif descriptor == 0:
            self._obey()
        elif descriptor == 1:
            self._line.write()
        else:
            os.read(descriptor, 4096)

    def _read_output(self, pipe: int) -> bool:
        """Take in what is there. False at its end, or where nothing is."""
        try:
            data = os.read(pipe, _READ)
        except BlockingIOError:
            return False
        stream = self._pipes[pipe]
        self._tell_lines(stream, self._output.take(stream, data) if data else self._output.rest(stream))
        if not data:
            del self._pipes[pipe]
        if self._output.flooded:
            self._ended = self._ended or "output"
        return bool(data)

    def _tell_lines(self, stream: str, lines: list[str]) -> None:
        if lines:
            self._line.say("output", [stream, *lines])

    def _attend_guest(self, event: int) -> None:
        if event & select.POLLOUT:
            self._guest.write()
            self._hear_on()
        if event & ~select.POLLOUT:
            self._hear_guest()

    def _hear_guest(self) -> bool:
        said = self._guest.read()
        if said is None:
            self._guest_open = False
            return False
        self._unheard.extend(said)
        heard = bool(self._unheard)
        self._hear_on()
        return heard

    def _hear_on(self) -> None:
        """Up to the first call that has no slot."""
        while self._unheard and (self._unheard[0].kind != "ask" or self._takes_calls):
            self._hear(self._unheard.popleft())

    @property
    def _takes_calls(self) -> bool:
        """Whether there is a slot: answers have to be read too, or they would pile up here."""
        return self._over or (self._in_flight < self._order.parallel and not self._guest.to_write)

    def _hear(self, said: GuestSaid) -> None:
        """What the script's process claims. The first result, or the first failure, is the one that counts."""
        decided = self._has_result or self._failed is not None
        if said.kind == "ask":
            if not self._over:
                self._in_flight += 1
                self._line.say_text("ask", said.text or "")
        elif said.kind == "kind":
            self._kind = said.text
        elif said.kind == "result" and not decided:
            self._has_result, self._result_bytes = True, said.size
            self._deadline = min(self._deadline, time.monotonic() + END_WITHIN)
            self._line.say_text("result", said.text or "")
        elif said.kind in {"failed", "unfit"} and not decided:
            self._failed = {"kind": said.kind}
            self._line.say_text(said.kind, said.text or "")

    def _obey(self) -> None:
        for message in self._line.read():
            if message.kind == "answer":
                self._in_flight -= 1
                self._guest.say("answer", message.text.encode("ascii"))
                self._hear_on()
            elif message.kind == "stop":
                self._ended = self._ended or "stop"

    def _look_at_limits(self) -> None:
        now = time.monotonic()
        if now >= self._deadline and not self._ended and self._script.pid not in self._reaper.statuses:
            self._ended = "result" if self._has_result else "timeout"
        if now < self._next_look:
            return
        order = self._order
        began = now
        if order.resident_bytes is not None and resident_bytes(os.getpid()) > order.resident_bytes:
            self._ended = self._ended or "memory"
        if order.tasks is not None and threads_below(os.getpid()) > order.tasks:
            self._ended = self._ended or "processes"
        self._look_at_disk()
        self._next_look = time.monotonic() + max(LOOK_EVERY, 5 * (time.monotonic() - began))

    def _look_at_disk(self) -> None:
        order = self._order
        if order.scratch_bytes is not None and bytes_filled(order.scratch, os.getpid()) > order.scratch_bytes:
            self._ended = self._ended or "disk"

    def _end(self) -> None:
        """Kill what is left, take in what it had said, and make the receipt."""
        script = self._script
        self._reaper.collect_all(os.getpid())
        self._look_at_disk()  # a quick script is over before the first look
        wall_ms = int((time.monotonic() - self._began_at) * 1000)
        self._over = True
        self._hear_on()
        while self._guest_open and not self._has_result and self._hear_guest():
            pass
        for pipe in list(self._pipes):
            while self._read_output(pipe):
                pass
        for stream in _STREAMS:
            self._tell_lines(stream, self._output.rest(stream))
        code = os.waitstatus_to_exitcode(self._reaper.statuses[script.pid])
        self._line.say(
            "receipt",
            {
                "exit_code": code if code >= 0 else None,
                "signal": -code if code < 0 else None,
                "ended": self._ended,
                "kind": self._kind,
                "result_bytes": self._result_bytes,
                "started": script.recorder.started,
                "record": script.recorder.finish(),
                "wall_ms": wall_ms,
                "cpu_ms": self._reaper.cpu_ms,
                "peak_memory_bytes": self._reaper.peak_bytes,
                "output_bytes": self._output.written,
                "output_truncated": self._output.truncated,
                "scratch_full": is_full(self._order.scratch, self._order.scratch_bytes),
            },
        )


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
        _stand_guard()
    os.set_blocking(0, False)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    _woken()


def _stand_guard() -> None:
    """Fork: the child goes on as the runner, and this process ends whatever a runner that dies leaves behind."""
    guard = os.getpid()
    runner = os.fork()
    if runner == 0:
        prctl(PR_SET_DUMPABLE, 0)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != guard:
            os._exit(1)
        return
    for each in (0, 1):
        os.close(each)
    signal.signal(signal.SIGTERM, lambda _number, _frame: _pass_on(runner))
    _, status = os.waitpid(runner, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Reaper().collect_all(guard)
    os._exit(min(255, abs(os.waitstatus_to_exitcode(status))))


def _pass_on(runner: int) -> None:
    """A guard that failed here would leave behind what it guards against."""
    try:
        os.kill(runner, signal.SIGTERM)
    except ProcessLookupError:
        return


_WAKE: list[int] = []


def _woken() -> int:
    """Readable when a signal has come."""
    if not _WAKE:
        _WAKE.extend(os.pipe())
        for each in _WAKE:
            os.set_blocking(each, False)
        signal.set_wakeup_fd(_WAKE[1], warn_on_full_buffer=False)
    return _WAKE[0]


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
