"""The oracle of the escape suite can fail: whatever a sandbox leaks or tells wrongly is noticed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.errors import SandboxUnavailable
from domain.outcomes import RunOutcome
from domain.runs import Backend, Isolation, RunRecord, RunRequest
from sandbox.escape_cases import EscapeCase, read_case
from sandbox.escape_oracle import CaseResult
from sandbox.escape_suite import EscapeSuite
from sandbox.host_canaries import HostCanaries, host_canaries
from sandbox.local.markers import started_at
from sandbox.local.residue import Residue
from tests.sandbox.escapes.leaky import LeakySandbox

CASE = EscapeCase("network/case", b"", "", frozenset({"completed"}), attempts=("connect:127.0.0.1",), timeout=0.05)
USER = 59_990
"""Nobody's: below those that runs get."""
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can leave something of another user behind")
SHARED_MEMORY = "import ctypes; ctypes.CDLL(None).shmget(0, 4096, 0o1600)"
REMOVED = (
    "import ctypes, sys\nlines = open('/proc/sysvipc/shm').read().splitlines()[1:]\n"
    f"for line in lines:\n    if line.split()[7] == '{USER}': ctypes.CDLL(None).shmctl(int(line.split()[1]), 0, None)"
)


@pytest.fixture
async def canaries() -> AsyncGenerator[HostCanaries]:
    async with host_canaries() as made:
        yield made


@pytest.fixture
def cleanup() -> Generator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def judged(
    sandbox: LeakySandbox, state: Path, canaries: HostCanaries, case: EscapeCase = CASE, grace: float = 30
) -> CaseResult:
    return await EscapeSuite(sandbox, Residue(sandbox, state), "default", canaries, grace=grace).attempt(case)


@contextmanager
def a_process(**more: Any) -> Generator[subprocess.Popen[Any]]:
    process: subprocess.Popen[Any] = subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, **more
    )
    try:
        yield process
    finally:
        process.communicate(b"\n")


async def test_a_sandbox_that_does_everything_right_has_no_complaint(tmp_path: Path, canaries: HostCanaries):
    result = await judged(LeakySandbox(tmp_path), tmp_path, canaries)

    assert result.complaints == ()


@pytest.mark.parametrize(
    ("report", "complaint"),
    [
        ({"outcome": RunOutcome.EXCEPTION}, "it ended as exception, not as completed: ''"),
        ({"result": {"escaped": True}}, "it says that it got out: {'escaped': True}"),
        ({"record": RunRecord(complete=True)}, "connect:127.0.0.1 is not in the record; what is there: "),
        (
            {"isolation": Isolation(backend=Backend.LANDLOCK, level=1, checks={"seccomp": False})},
            "a control was not in force",
        ),
        ({"isolation": Isolation(backend=Backend.LANDLOCK, level=1)}, "a control was not in force"),
        (
            {"isolation": Isolation(backend=Backend.BUBBLEWRAP, level=2, checks={"seccomp": True})},
            "it ran in bubblewrap",
        ),
    ],
)
async def test_a_wrong_report_is_noticed(
    tmp_path: Path, canaries: HostCanaries, report: dict[str, object], complaint: str
):
    sandbox = LeakySandbox(tmp_path)
    sandbox.report = report

    assert (await judged(sandbox, tmp_path, canaries)).complaints == (complaint,)


async def test_missing_telemetry_is_noticed(tmp_path: Path, canaries: HostCanaries):
    sandbox = LeakySandbox(tmp_path)
    sandbox.report = {"record": {"attempts": [{"kind": "connect", "target": "127.0.0.1:1", "allowed": False}]}}

    assert (await judged(sandbox, tmp_path, canaries)).complaints == ("its record is incomplete (0 dropped)",)


async def test_telemetry_that_should_be_missing_is_noticed(tmp_path: Path, canaries: HostCanaries):
    case = EscapeCase("processes/case", b"", "", frozenset({"completed"}), incomplete=True)

    result = await judged(LeakySandbox(tmp_path), tmp_path, canaries, case)

    assert result.complaints == ("its record says that it is complete",)


async def test_a_run_that_does_not_end_is_noticed(tmp_path: Path, canaries: HostCanaries):
    sandbox = LeakySandbox(tmp_path)
    sandbox.sleeps = 30

    result = await judged(sandbox, tmp_path, canaries, grace=0.2)

    assert "it was not over 0 s after its time" in result.complaints


async def test_a_sandbox_that_fails_is_noticed(tmp_path: Path, canaries: HostCanaries):
    def fail(_: RunRequest) -> None:
        raise SandboxUnavailable("no sandbox")

    result = await judged(LeakySandbox(tmp_path, fail), tmp_path, canaries)

    assert "the sandbox failed: SandboxUnavailable: no sandbox" in result.complaints


async def test_a_marker_that_is_left_is_noticed(tmp_path: Path, canaries: HostCanaries):
    sandbox = LeakySandbox(tmp_path)
    sandbox.forgets_marker = False

    assert (await judged(sandbox, tmp_path, canaries)).complaints == ("its marker is left",)


async def test_a_first_process_that_lives_is_noticed(tmp_path: Path, canaries: HostCanaries, cleanup: ExitStack):
    process = cleanup.enter_context(a_process())
    sandbox = LeakySandbox(tmp_path, launcher=process.pid, launcher_started=started_at(process.pid))

    assert (await judged(sandbox, tmp_path, canaries)).complaints == ("its first process is alive",)


async def test_a_process_is_known_by_its_seed_where_runs_have_no_user(
    tmp_path: Path, canaries: HostCanaries, cleanup: ExitStack
):
    def leak(request: RunRequest) -> None:
        cleanup.enter_context(a_process(env={"PYTHONHASHSEED": str(request.seed)}))

    assert (await judged(LeakySandbox(tmp_path, leak), tmp_path, canaries)).complaints == (
        "1 processes with its seed are alive",
    )


@pytest.mark.parametrize(("kind", "complaint"), [("cgroups", "its cgroup is left"), ("scratch", "its scratch dire")])
async def test_a_directory_that_is_left_is_noticed(tmp_path: Path, canaries: HostCanaries, kind: str, complaint: str):
    place = str(tmp_path)
    leak: dict[str, Any] = {kind: (place,) if kind == "cgroups" else place}
    sandbox = LeakySandbox(tmp_path, **leak)

    (said,) = (await judged(sandbox, tmp_path, canaries)).complaints

    assert said.startswith(complaint)


async def test_a_mount_that_is_left_is_noticed(tmp_path: Path, canaries: HostCanaries):
    result = await judged(LeakySandbox(tmp_path, scratch="/proc"), tmp_path, canaries)

    assert "a mount is left" in result.complaints


@as_root
async def test_a_process_of_the_runs_user_is_noticed(tmp_path: Path, canaries: HostCanaries, cleanup: ExitStack):
    cleanup.enter_context(a_process(user=USER))

    result = await judged(LeakySandbox(tmp_path, uid=USER), tmp_path, canaries)

    assert result.complaints == ("1 processes of its user are alive",)


@as_root
async def test_a_file_of_the_runs_user_is_noticed(tmp_path: Path, canaries: HostCanaries, cleanup: ExitStack):
    file = Path(f"/var/tmp/airlock-leak-{os.getpid()}")
    cleanup.callback(file.unlink)

    def leak(_: RunRequest) -> None:
        file.write_text("left")
        os.chown(file, USER, USER)

    result = await judged(LeakySandbox(tmp_path, leak, uid=USER), tmp_path, canaries)

    assert result.complaints == (f"files of its user are left: {file}",)


@as_root
async def test_a_socket_of_the_runs_user_is_noticed(tmp_path: Path, canaries: HostCanaries, cleanup: ExitStack):
    os.seteuid(USER)
    listener = cleanup.enter_context(socket.socket())
    os.seteuid(0)
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    result = await judged(LeakySandbox(tmp_path, uid=USER), tmp_path, canaries)

    assert result.complaints == ("sockets of its user are left",)


@as_root
async def test_shared_memory_of_the_runs_user_is_noticed(tmp_path: Path, canaries: HostCanaries, cleanup: ExitStack):
    cleanup.callback(subprocess.run, [sys.executable, "-c", REMOVED], check=True)
    with subprocess.Popen([sys.executable, "-S", "-c", SHARED_MEMORY], user=USER, cwd="/") as process:  # noqa: ASYNC220
        assert process.wait() == 0

    result = await judged(LeakySandbox(tmp_path, uid=USER), tmp_path, canaries)

    assert result.complaints == ("System V objects (shm) of its user are left",)


def changed(directory: Path, _: dict[str, object]) -> None:
    (directory / "canary").write_text("changed")


def opened_to_all(directory: Path, _: dict[str, object]) -> None:
    (directory / "canary").chmod(0o640)


def removed(directory: Path, _: dict[str, object]) -> None:
    (directory / "canary").unlink()


def linked(directory: Path, _: dict[str, object]) -> None:
    (directory / "link").hardlink_to(directory / "canary")


def connected(_: Path, params: dict[str, object]) -> None:
    socket.create_connection(("127.0.0.1", int(str(params["port"])))).close()


def knocked(_: Path, params: dict[str, object]) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(params["socket_path"]))


def sent(_: Path, params: dict[str, object]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"words", ("127.0.0.1", int(str(params["port"]))))


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (changed, "the canary file was changed"),
        (opened_to_all, "the canary file was changed"),
        (removed, "the canary file is gone"),
        (linked, "something was made or removed beside the canary file"),
        (connected, "somebody connected to a listener of the host"),
        (knocked, "somebody connected to a listener of the host"),
        (sent, "a datagram of 5 bytes came in"),
    ],
)
async def test_harm_to_a_canary_is_noticed(
    tmp_path: Path, canaries: HostCanaries, harm: Callable[[Path, dict[str, Any]], None], complaint: str
):
    sandbox = LeakySandbox(tmp_path, lambda request: harm(canaries.directory, request.params))
    sandbox.sleeps = 0.02

    assert complaint in (await judged(sandbox, tmp_path, canaries)).complaints


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        ({"sum": 1}, "an honest run beside it has another result than its own"),
        ({"escaped": True}, "an honest run beside it was disturbed: it says that it got out: {'escaped': True}"),
    ],
)
async def test_a_disturbed_neighbour_is_noticed(tmp_path: Path, canaries: HostCanaries, result: object, complaint: str):
    sandbox = LeakySandbox(tmp_path)
    sandbox.result = result
    suite = EscapeSuite(sandbox, Residue(sandbox, tmp_path), "default", canaries)

    assert complaint in (await suite.attempt_beside_honest_runs(CASE)).complaints


async def test_what_a_first_run_leaves_for_a_second_is_noticed(tmp_path: Path, canaries: HostCanaries):
    sandbox = LeakySandbox(tmp_path, lambda _: runs.append(sandbox.report.update(result={"escaped": len(runs) == 1})))
    runs: list[None] = []
    case = EscapeCase("files/case", b"", "", frozenset({"completed"}), twice=True)

    result = await judged(sandbox, tmp_path, canaries, case)

    assert result.complaints == ("it says that it got out: {'escaped': True}",)


@pytest.mark.parametrize("head", [b"# group: files\n", b"# notes: x\n# outcomes: completed\n# group: network\n"])
def test_a_case_whose_head_is_not_understood_is_refused(tmp_path: Path, head: bytes):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "case.hostile").write_bytes(head)

    with pytest.raises(ValueError, match="its head is not one of the suite's"):
        read_case(tmp_path / "files" / "case.hostile")
