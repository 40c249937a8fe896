"""Runs Python code behind the real inner wall, with the real recorder, in a fork of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
PYTHON = "/usr/bin/python3"
SYSTEM = ("/usr", "/lib", "/lib64", "/bin")


@dataclass
class Walled:
    """What came of it."""

    status: int
    printed: str
    attempts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    sums: dict[str, Any] = field(default_factory=dict[str, Any])
    checks: dict[str, bool] = field(default_factory=dict[str, bool])
    details: dict[str, str] = field(default_factory=dict[str, str])

    def tried(self, kind: str) -> list[str]:
        return [each["target"] for each in self.attempts if each["kind"] == kind]


def run_walled(code: str, scratch: Path, **spec: Any) -> Walled:
    """In a process of its own, because the runner has to be non-dumpable, without threads, and not root."""
    uid = 60_900 if os.getuid() == 0 else None
    if uid is not None:
        os.chown(scratch, uid, uid)
    from domain.runs import Backend
    from sandbox.profiles.tables import required_of

    require = required_of(Backend.LANDLOCK)
    order = {"code": code, "scratch": str(scratch), "spec": spec, "require": require}
    done = subprocess.run(
        [PYTHON, "-I", __file__],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        user=uid,
        group=uid,
        extra_groups=[] if uid is not None else None,
        env={},
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return Walled(**json.loads(done.stdout))


def _runner() -> None:
    sys.path.insert(0, str(ROOT))
    from sandbox.controls.inner_wall import WallSpec
    from sandbox.controls.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, prctl

    order = json.load(sys.stdin)
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    asked: dict[str, Any] = {
        "require": order["require"],
        "exec_roots": SYSTEM,
        "write_roots": (order["scratch"],),
        "processes": 32,
        "read_files": ("/dev/urandom", "/etc/ld.so.cache"),
        **order["spec"],
    }
    spec = WallSpec(**asked)
    output, printed = os.pipe()
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _become_the_script(spec, theirs, printed, order)
    theirs.close()
    os.close(printed)
    sys.stdout.write(json.dumps(_supervise(child, ours, output, spec)))


def _become_the_script(spec: Any, channel: socket.socket, printed: int, order: dict[str, Any]) -> None:
    from sandbox.controls.inner_wall import observe, raise_wall

    try:
        start = raise_wall(spec, channel)
        channel.send(json.dumps(observe(spec)).encode())
        channel.recv(1)
        channel.close()
        os.chdir(order["scratch"])
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        start.execve([PYTHON, "-I", "-S", "-c", order["code"]], {"HOME": order["scratch"]})
    except BaseException as error:  # noqa: BLE001 - a fork must never return
        os.write(printed, repr(error).encode())
        os._exit(99)


def _supervise(child: int, ours: socket.socket, output: int, spec: Any) -> dict[str, Any]:
    from sandbox.recorder import Recorder

    attempts: list[dict[str, Any]] = []
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    if not descriptors:
        os.waitpid(child, 0)
        return {"status": 99, "printed": os.read(output, 65536).decode()}
    recorder = Recorder(descriptors[0], child, spec, attempts.append)
    ours.send(b"g")
    checks, details, printed = {}, {}, b""
    poll = select.poll()
    for each in (recorder.fileno(), ours.fileno(), output):
        poll.register(each, select.POLLIN)
    status = None
    while status is None:
        for each, event in poll.poll(100):
            if each == recorder.fileno() and event & select.POLLIN:
                recorder.serve_one()
            elif each == ours.fileno():
                if data := ours.recv(65536):
                    checks, details = json.loads(data)
                    ours.send(b"g")
                else:
                    poll.unregister(each)
            elif each == output:
                printed += os.read(output, 65536)
        gone, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if gone else None
    while select.select([output], [], [], 0)[0] and (more := os.read(output, 65536)):
        printed += more
    _kill_all_others()
    return {
        "status": status,
        "printed": printed.decode(),
        "attempts": attempts,
        "sums": recorder.finish(),
        "checks": checks,
        "details": details,
    }


def _kill_all_others() -> None:
    from sandbox.controls.caller import descends_from

    for each in Path("/proc").iterdir():
        if each.name.isdigit() and descends_from(int(each.name), os.getpid()):
            os.kill(int(each.name), signal.SIGKILL)


if __name__ == "__main__":
    _runner()
