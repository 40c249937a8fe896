"""What a script meets behind the inner wall: each claim with a real kernel, a real filter and a real recorder."""

import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.controls.behind_the_wall import Walled, run_walled


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where the users of runs may enter: each session of pytest closes the directory of all of them."""
    with tempfile.TemporaryDirectory(prefix="airlock-walled-") as place:
        Path(place).chmod(0o755)
        inner = Path(place) / "scratch"
        inner.mkdir()
        yield inner


_TRYING = """import ctypes, os, socket, signal
libc = ctypes.CDLL(None, use_errno=True)
def call(*numbers):
    result = libc.syscall(*map(ctypes.c_long, numbers))
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
try:
{code}
    print("done")
except OSError as error:
    print("errno", error.errno)
"""


def tried(code: str, scratch: Path, **spec: object) -> Walled:
    """Runs code that prints the error of what it tries."""
    return run_walled(_TRYING.replace("{code}", textwrap.indent(code, "    ")), scratch, **spec)


def test_every_check_holds(scratch: Path) -> None:
    walled = run_walled("pass", scratch)

    assert walled.checks
    assert all(walled.checks.values()), walled.details


def test_an_honest_script_leaves_no_attempt_and_a_complete_record(scratch: Path) -> None:
    code = "import random, json\nopen('notes.txt', 'w').write('x')\nprint(json.dumps(open('notes.txt').read()))"

    walled = run_walled(code, scratch, read_files=("/dev/urandom", "/etc/ld.so.cache", "/etc/localtime"))

    assert (walled.status, walled.printed, walled.attempts) == (0, '"x"\n', [])
    assert walled.sums["complete"]
    assert walled.sums["allowed_reads"] > 5
    assert walled.sums["allowed_writes"] == 1


@pytest.mark.parametrize(
    ("code", "kind", "target"),
    [
        ("socket.create_connection(('169.254.169.254', 80))", "connect", "169.254.169.254:80"),
        ("socket.socket(socket.AF_INET6).connect(('fd00:ec2::254', 80))", "connect", "[fd00:ec2::254]:80"),
        ("socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')", "connect", "/var/run/docker.sock"),
        ("socket.socket(socket.AF_UNIX).connect('\\0abstract')", "connect", "@abstract"),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))", "connect", "8.8.8.8:53"),
        ("socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('8.8.8.8', 53))", "connect", "8.8.8.8:53"),
        ("socket.socket().sendto(b'x', 0x20000000, ('10.0.0.1', 80))", "connect", "10.0.0.1:80"),
        ("socket.socket().bind(('127.0.0.1', 8080))", "bind", "127.0.0.1:8080"),
        ("socket.socket().listen()", "bind", "listen("),
        ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "socket", "family 16 type 3"),
        ("socket.socket(socket.AF_INET, socket.SOCK_RAW)", "socket", "inet type 3"),
        ("socket.socket(40, socket.SOCK_STREAM)", "socket", "family 40 stream"),
        ("socket.socket(type=2).setsockopt(0, 35, bytes(8))", "socket", "setsockopt("),
        ("os.execv('/bin/sh', ['sh'])", "exec", "/bin/sh"),
        ("call(101, 16, os.getppid(), 0, 0)", "ptrace", "ptrace("),
        ("call(310, os.getppid(), 0, 0, 0, 0, 0)", "ptrace", "process_vm_readv("),
        ("call(272, 0x10000000)", "namespace", "unshare("),
        ("call(56, 0x10000011, 0, 0, 0, 0)", "namespace", "clone(0x10000000)"),
        ("call(317, 1, 0, 0)", "seccomp", "seccomp("),
        ("call(157, 22, 2, 0, 0, 0)", "process", "prctl(0x16"),
        ("call(157, 4, 0, 0, 0, 0)", "process", "prctl(0x4"),
        ("call(425, 8, 0)", "kernel", "io_uring_setup("),
        ("call(321, 0, 0, 0)", "kernel", "bpf("),
        ("call(319, 0, 0)", "memory", "memfd_create("),
        ("call(105, 0)", "identity", "setuid("),
        ("os.kill(os.getppid(), 9)", "signal", "kill(runner)"),
        ("os.kill(1, 9)", "signal", "kill("),
        ("os.kill(0, 9)", "signal", "kill(0)"),
        ("os.kill(-1, 9)", "signal", "kill(-1)"),
        ("os.setpgid(0, os.getpgid(os.getppid()))", "signal", "setpgid("),
        ("os.setpgid(0, os.getppid())", "signal", "setpgid(runner)"),
        ("call(302, os.getppid(), 7, 0, 0)", "limits", "prlimit64(runner)"),
        ("call(302, 0, 4, 8, 0)", "limits", "prlimit64(core)"),
        ("call(302, os.getpid(), 4, 8, 0)", "limits", "prlimit64(core)"),
        ("call(160, 4, 8)", "limits", "setrlimit("),
        ("call(56, 0x10900, 0, 0, 0, 0)", "process", "clone(0x10900)"),
        ("os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)", "limits", "setpriority("),
        ("os.setpriority(os.PRIO_USER, 0, 19)", "limits", "setpriority("),
        ("os.sched_setaffinity(os.getppid(), {0})", "limits", "sched_setaffinity(runner)"),
        ("call(72, 0, 8, os.getppid())", "limits", "fcntl(0x0, 0x8"),
        ("call(72, 0, 10, 9)", "limits", "fcntl(0x0, 0xa"),
        ("call(16, 0, 0x8901, 0)", "limits", "ioctl(0x0, 0x8901"),
        ("call(16, 0, 0x8902, 0)", "limits", "ioctl(0x0, 0x8902"),
        ("call(16, 0, 0x5412, 0)", "limits", "ioctl(0x0, 0x5412"),
    ],
)
def test_what_is_refused_ends_with_eperm_and_is_recorded(code: str, kind: str, target: str, scratch: Path) -> None:
    walled = tried(code, scratch)

    assert walled.printed == "errno 1\n"
    assert any(each.startswith(target) for each in walled.tried(kind)), walled.attempts
    assert walled.sums["complete"]


@pytest.mark.parametrize(
    ("code", "kind", "target"),
    [
        ("open('/etc/shadow')", "open", "/etc/shadow"),
        ("open('../../../etc/hostname')", "open", "/etc/hostname"),
        ("open('/proc/self/environ')", "open", "/proc/self/environ"),
        ("open('/usr/airlock', 'w')", "write", "/usr/airlock"),
        ("os.rename('/etc/hosts', 'mine')", "write", "/etc/hosts -> "),
        ("os.symlink('/etc/shadow', 'link'); open('link')", "write", "/etc/shadow -> "),
        ("os.symlink('/etc/shadow', 'link'); open('link')", "open", "/etc/shadow"),
        ("os.unlink('/etc/hosts')", "write", "/etc/hosts"),
    ],
)
def test_files_outside_are_out_of_reach_and_recorded(code: str, kind: str, target: str, scratch: Path) -> None:
    walled = tried(code, scratch)

    assert walled.printed.startswith("errno"), walled.printed
    assert any(target in each for each in walled.tried(kind)), walled.attempts
    assert not any(each["allowed"] for each in walled.attempts)


@pytest.mark.parametrize(
    "code",
    [
        "import asyncio; asyncio.run(asyncio.sleep(0.01))",
        "import asyncio; asyncio.run(asyncio.wait_for(asyncio.to_thread(print, end=''), 5))",
        "import threading; [t.start() or t.join() for t in [threading.Thread(target=print, kwargs={'end': ''})]]",
        "import tempfile; tempfile.TemporaryDirectory().cleanup()",
        "import sqlite3; sqlite3.connect(':memory:').execute('select 1')",
        "signal.raise_signal(signal.SIGCONT); os.kill(os.getpid(), 0)",
        "import resource as r; r.getrlimit(r.RLIMIT_CORE); r.setrlimit(r.RLIMIT_NOFILE, (64, 64))",
        "import shutil; open('a', 'w'); shutil.copy('a', 'b'); shutil.rmtree(os.mkdir('c') or 'c')",
        "p = os.fork()\nif not p: os._exit(0)\nos.waitpid(p, 0)",
        "os.setpgrp()\np = os.fork()\nif not p: signal.pause()\nos.setpgid(p, p); os.setpgid(p, os.getpid())",
    ],
)
def test_honest_code_works(code: str, scratch: Path) -> None:
    walled = tried(code, scratch)

    assert (walled.status, walled.printed) == (0, "done\n")


def test_a_subprocess_is_refused_with_a_clear_error(scratch: Path) -> None:
    walled = run_walled("import subprocess\nsubprocess.run(['/bin/true'])", scratch)

    assert "PermissionError: [Errno 1] Operation not permitted: '/bin/true'" in walled.printed
    assert walled.tried("exec") == ["/bin/true"]
    assert walled.tried("process")


def test_clone3_is_absent_so_that_libraries_use_clone(scratch: Path) -> None:
    assert tried("call(435, 0, 0)", scratch).printed == "errno 38\n"


@pytest.mark.parametrize("code", ["call(0x40000000 | 39)", "import mmap"])
def test_calls_of_another_architecture_kill(code: str, scratch: Path) -> None:
    i386 = (
        "m = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes.fromhex('b814000000cd80c3'))\n"  # mov eax, 20; int 0x80; ret
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()"
    )

    assert tried(code if "mmap" not in code else f"{code}\n{i386}", scratch).status == -31


def test_chmod_reaches_scratch_files_and_nothing_where_the_uid_is_shared(scratch: Path) -> None:
    code = "open('a', 'w').close(); os.chmod('a', 0o600)"

    assert tried(code, scratch).printed == "done\n"
    assert tried(code.replace("'a'", "'b'"), scratch, own_uid=False).printed == "errno 1\n"


def test_a_fork_bomb_meets_the_limit_of_processes(scratch: Path) -> None:
    code = "import time\nwhile True:\n    if not os.fork(): time.sleep(60)"

    walled = tried(code, scratch, processes=20)

    assert walled.printed == "errno 11\n"
    assert walled.sums["process_limit_hits"]


def test_different_attempts_are_capped_and_the_record_says_so(scratch: Path) -> None:
    walled = tried("for i in range(1100):\n    try: open(f'/nowhere/{i}')\n    except OSError: pass", scratch)

    assert 990 < len(walled.attempts) <= 1000
    assert walled.sums["dropped"] >= 100
    assert not walled.sums["complete"]


def test_a_repeated_attempt_is_told_twice_at_most_with_its_count(scratch: Path) -> None:
    walled = tried("for i in range(50):\n    try: open('/nowhere')\n    except OSError: pass", scratch)

    assert [each["count"] for each in walled.attempts if each["target"] == "/nowhere"] == [1, 49]


def test_reads_are_unseen_and_writes_seen_where_reads_are_not_recorded(scratch: Path) -> None:
    code = "try: open('/etc/shadow')\nexcept OSError: open('/usr/mine', 'w')"

    walled = tried(code, scratch, recorded=False)

    assert walled.tried("open") == []
    assert walled.tried("write") == ["/usr/mine"]
    assert walled.sums["allowed_reads"] == 0


def test_limits_are_in_force(scratch: Path) -> None:
    walled = tried("f = [open('/dev/null') for _ in range(100)]", scratch, open_files=32)

    assert walled.printed == "errno 24\n"


def test_a_file_larger_than_allowed_cannot_be_written(scratch: Path) -> None:
    assert (
        tried("f = open('big', 'wb', 0); f.write(bytes(4096)); f.write(b'x')", scratch, file_bytes=4096).printed
        == "errno 27\n"
    )


def test_memory_is_bounded_without_a_cgroup(scratch: Path) -> None:
    walled = run_walled("x = bytearray(300 << 20)", scratch, memory_bytes=128 << 20)

    assert "MemoryError" in walled.printed


def test_a_missing_control_is_seen(scratch: Path) -> None:
    walled = run_walled("pass", scratch, require=("landlock", "root_read_only"))

    assert walled.checks == {"landlock": True, "root_read_only": False}
