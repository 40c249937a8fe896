"""The self-check: what is in force around a process, found out by looking and by trying, never by remembering."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Callable

from sandbox.controls import rlimits
from sandbox.controls.kernel import PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, prctl, system_call
from sandbox.controls.network_probe import what_answers
from sandbox.controls.wall_spec import WallSpec

_CAPGET, _PTRACE = 125, 101
_CAPABILITY_VERSION_3 = 0x20080522
_NOWHERE = ("192.0.2.1", 9)
"""An address that no network has (RFC 5737)."""
_CANARY = "/airlock-write-check"


def surroundings(spec: WallSpec) -> dict[str, str]:
    """What only the time before the wall can see: the maps of ids, the network interfaces, and what answers there."""
    asked = {"answering": what_answers(spec.doors)} if "network_closed" in spec.require else {}
    return {
        **asked,
        "uid_map": " ".join(_read("/proc/self/uid_map").split()),
        "interfaces": " ".join(sorted(line.split(":")[0].strip() for line in _read("/proc/net/dev").splitlines()[2:])),
        "runner_pid": str(os.getppid()),
    }


def observe(spec: WallSpec) -> tuple[dict[str, bool], dict[str, str]]:
    """Each control that is required and whether it is in force, and what was seen to know it.

    Call it behind the wall, in the process that becomes the script, while the recorder is served.
    """
    checks: dict[str, bool] = {}
    details = dict(spec.seen)
    for name in spec.require:
        try:
            checks[name], details[name] = _CHECKS[name](spec)
        except OSError as error:
            checks[name], details[name] = False, _name(error)
    return checks, details


def _no_new_privs(_: WallSpec) -> tuple[bool, str]:
    value = prctl(PR_GET_NO_NEW_PRIVS)
    return value == 1, str(value)


def _seccomp(_: WallSpec) -> tuple[bool, str]:
    mode = prctl(PR_GET_SECCOMP)
    return mode == 2, f"mode {mode}"


def _recorder(_: WallSpec) -> tuple[bool, str]:
    """Without a recorder the answer is ENOSYS, without a filter the call succeeds."""
    return _refused(lambda: system_call(_PTRACE, 0, 0, 0, 0), {errno.EPERM})


def _landlock(spec: WallSpec) -> tuple[bool, str]:
    """Anybody may list the root directory, unless Landlock forbids it."""
    if "/" in (*spec.read_roots, *spec.exec_roots, *spec.write_roots):
        return False, "the whole file system is allowed"
    return _refused(lambda: os.listdir("/"), {errno.EACCES})


def _capabilities(_: WallSpec) -> tuple[bool, str]:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    system_call(_CAPGET, header, sets)
    return not any(sets), " ".join(f"{value:x}" for value in sets)


def _not_root(_: WallSpec) -> tuple[bool, str]:
    ids = (*os.getresuid(), *os.getresgid())
    return 0 not in ids, "uid {} {} {} gid {} {} {}".format(*ids)


def _write_denied(spec: WallSpec) -> tuple[bool, str]:
    places = {_CANARY, *(f"{root}{_CANARY}" for root in spec.exec_roots)}
    no_such_root = errno.ENOENT  # an image need not have each of them
    refusals = {errno.EACCES, errno.EROFS, errno.EPERM, no_such_root}
    seen = [_refused(lambda path=path: _create(path), refusals) for path in places]
    return all(refused for refused, _ in seen), " ".join(sorted({word for _, word in seen}))


def _network_denied(_: WallSpec) -> tuple[bool, str]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as each:
        return _refused(lambda: each.connect(_NOWHERE), {errno.EPERM, errno.EACCES, errno.ENETUNREACH})


def _limits(spec: WallSpec) -> tuple[bool, str]:
    wanted = spec.wanted_limits()
    found = rlimits.limits_in_force(wanted)
    words = " ".join(f"{name.lower()}={hard}" for name, (_, hard) in found.items())
    return rlimits.as_strict_as(found, wanted), words


def _nice(_: WallSpec) -> tuple[bool, str]:
    value = os.getpriority(os.PRIO_PROCESS, 0)
    return value == 19, str(value)


def _root_read_only(_: WallSpec) -> tuple[bool, str]:
    read_only = bool(os.statvfs("/").f_flag & os.ST_RDONLY)
    return read_only, "ro" if read_only else "rw"


def _network_empty(spec: WallSpec) -> tuple[bool, str]:
    interfaces = spec.seen.get("interfaces", "unread")
    return interfaces in {"", "lo"}, interfaces


def _network_closed(spec: WallSpec) -> tuple[bool, str]:
    answering = spec.seen.get("answering", "unasked")
    return answering == "", f"{answering} answers" if answering else "nothing answers"


def _own_pids(_: WallSpec) -> tuple[bool, str]:
    """In a process namespace of its own the runner is the first process, or the first one's child."""
    return os.getppid() in {1, 2}, f"runner is process {os.getppid()}"


_CHECKS: dict[str, Callable[[WallSpec], tuple[bool, str]]] = {
    "no_new_privs": _no_new_privs,
    "seccomp": _seccomp,
    "recorder": _recorder,
    "landlock": _landlock,
    "capabilities_zero": _capabilities,
    "not_root": _not_root,
    "write_denied": _write_denied,
    "network_denied": _network_denied,
    "limits": _limits,
    "nice": _nice,
    "root_read_only": _root_read_only,
    "network_empty": _network_empty,
    "network_closed": _network_closed,
    "own_pids": _own_pids,
}


def _refused(attempt: Callable[[], object], errors: set[int]) -> tuple[bool, str]:
    try:
        attempt()
    except OSError as error:
        return error.errno in errors, _name(error)
    return False, "succeeded"


def _create(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error.errno))


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
