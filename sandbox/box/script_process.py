"""The script's process: forked from the runner, walled in, checked, and only then an interpreter of its own."""

from __future__ import annotations

import fcntl
import marshal
import os
import select

from sandbox.box.environment_digest import site_directories
from sandbox.box.home import home_below, lay_out, work_below
from sandbox.box.order import Order
from sandbox.controls.inner_wall import NO_LISTENER, ControlUnavailable, Start, observe, raise_wall
from sandbox.controls.kernel import PR_SET_PDEATHSIG, prctl
from sandbox.controls.wall_spec import WallSpec
from sandbox.light import dumps, loads, received_with_descriptors, signal, socket
from sandbox.recorder import NoRecorder, Recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHECKED_WITHIN = 20.0
"""Seconds, on a busy machine: a wall that is not up by then is not coming."""
_ABOVE = 8
"""Descriptors are moved here before they get the numbers that the script sees."""
_GUEST_BOOT = (
    "import os,marshal,sys\n"
    "def r(n):\n"
    " b=b''\n"
    " while len(b)<n:\n"
    "  c=os.read(3,n-len(b))\n"
    "  if not c:os._exit(1)\n"
    "  b+=c\n"
    " return b\n"
    "for n,c in marshal.loads(r(int(r(10)))):\n"
    " m=sys.modules[n]=type(sys)(n);exec(c,m.__dict__)\n"
)
"""Reads its modules from the channel, so that a script finds no file of ours."""


class Refused(Exception):
    """The wall is not up, so nothing of the script was run. Carries what was seen."""

    def __init__(self, message: str, checks: dict[str, bool], details: dict[str, str]) -> None:
        super().__init__(message)
        self.message = message
        self.checks = checks
        self.details = details


class ScriptProcess:
    """A forked child behind its wall. It waits for `start`; `close` what is left of it here."""

    def __init__(self, order: Order, tell: Callable[[dict[str, object]], None]) -> None:
        self._wall = order.wall_spec()
        ours, theirs = socket.socketpair()
        self._channel = ours
        self.guest, guest = socket.socketpair()
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become_the_script(order, self._wall, theirs, (out, err, guest.fileno()))
        for each in (theirs, guest):
            each.close()
        for each in (out, err):
            os.close(each)
        for each in (self.out, self.err, self.guest.fileno()):
            os.set_blocking(each, False)
        self.recorder = self._listened(tell)

    def checked(self) -> tuple[dict[str, bool], dict[str, str]]:
        """What the child has observed behind the wall. Raises Refused where a control is not in force."""
        told = self._told_while_served()
        checks: dict[str, bool]
        details: dict[str, str]
        checks, details = loads(told.decode("ascii") or "[{}, {}]")
        failed = [name for name in self._wall.require if not checks.get(name)]
        if failed:
            raise Refused(f"not in force inside the sandbox: {', '.join(failed)}", checks, details)
        return checks, details

    def start(self) -> None:
        """Let the child become the interpreter."""
        self._channel.send(b"g")
        self._channel.close()
        if isinstance(self.recorder, NoRecorder):
            self.recorder.started = True

    def _listened(self, tell: Callable[[dict[str, object]], None]) -> Recorder | NoRecorder:
        self._channel.settimeout(CHECKED_WITHIN)
        try:
            word, descriptors = received_with_descriptors(self._channel, 1)
        except TimeoutError:
            raise Refused("the inner wall did not come up in time", {}, {}) from None
        if word == NO_LISTENER and self._wall.machine is not None:
            self._channel.send(b"g")
            return NoRecorder()
        if not descriptors:
            reason = self._channel.recv(4096).decode("utf-8", "replace") if word else "the script's process died"
            raise Refused(reason, {}, {})
        os.set_inheritable(descriptors[0], False)  # noqa: FBT003 - it takes no keyword
        self._channel.send(b"g")
        return Recorder(descriptors[0], self.pid, self._wall, tell)

    def _told_while_served(self) -> bytes:
        """The child's report: its own calls are notified already, and have to be answered."""
        poll = select.poll()
        if self.recorder.fileno() >= 0:
            poll.register(self.recorder, select.POLLIN)
        poll.register(self._channel, select.POLLIN)
        told = b""
        while not told.endswith(b"\n"):
            ready = dict(poll.poll(CHECKED_WITHIN * 1000))
            if not ready:
                return b""
            if ready.get(self.recorder.fileno(), 0) & select.POLLIN:
                self.recorder.serve_one()
            if self._channel.fileno() in ready:
                part = self._channel.recv(65536)
                if not part:
                    return b""
                told += part
        return told


def guest_bundle(modules: list[tuple[str, object]]) -> bytes:
    """What the guest's first line reads: its modules, compiled by the same interpreter."""
    data = marshal.dumps(modules)
    return b"%010d%s" % (len(data), data)


def _become_the_script(order: Order, wall: WallSpec, channel: socket.socket, streams: tuple[int, int, int]) -> None:
    """Never returns: a fork that went on would be a second runner."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.setpgid(0, 0)  # no session of its own: where each is scheduled as one, nice 19 would weigh within it alone
        sources = [os.open("/dev/null", os.O_RDONLY), *streams]
        planted = _lay_out(order) if wall.machine is None else 0
        start = _raise(wall, channel)
        if wall.machine is not None:  # the wall has made it another user, who has to own what is laid out
            planted = _lay_out(order)
        checks, details = observe(wall)
        told = (checks, {**details, "decoy_files": str(planted)})
        channel.send(dumps(told).encode("ascii") + b"\n")
        if channel.recv(1) != b"g":
            os._exit(1)
        os.chdir(work_below(order.scratch))
        _arrange(sources)
        start.execve([order.python, "-P", "-s", "-S", "-c", _GUEST_BOOT], environment_of(order))
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on
        os._exit(70)


def _lay_out(order: Order) -> int:
    return lay_out(order.scratch, order.script.encode("latin-1"), order.decoy_files)


def _raise(wall: WallSpec, channel: socket.socket) -> Start:
    try:
        return raise_wall(wall, channel)
    except ControlUnavailable as error:
        channel.send(b"E" + str(error).encode("utf-8", "replace")[:2000])
        os._exit(70)


def _arrange(sources: list[int]) -> None:
    """The script gets 0, 1, 2 and its channel as 3, and nothing else is open."""
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, _ABOVE) for each in sources]
    for number, each in enumerate(moved):
        os.dup2(each, number)
    os.closerange(len(sources), 1 << 20)


def environment_of(order: Order) -> dict[str, str]:
    """The script's whole environment."""
    return {
        "HOME": home_below(order.scratch),
        "TMPDIR": order.scratch,
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "USER": "airlock",  # its uid has no name, and `getpass.getuser` would fail
        "PYTHONHASHSEED": str(order.task["seed"] % (1 << 32)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",  # one thread each: libraries would start one per processor of the machine
        "OPENBLAS_NUM_THREADS": "1",
        "LOKY_MAX_CPU_COUNT": "1",  # otherwise joblib starts lscpu
        "MPLBACKEND": "Agg",
        **order.decoys,
    }


def guest_task(order: Order) -> bytes:
    """What the guest is told: by marshal, since it is the same interpreter, and loads nothing for it."""
    return marshal.dumps({**order.task, "paths": site_directories(order.python)})
