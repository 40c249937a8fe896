"""What one process may use up: the kernel's own limits, set so that a script cannot raise them again."""

from __future__ import annotations

import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UNLIMITED = resource.RLIM_INFINITY
_RESERVED_ADDRESSES = 1 << 30
"""Room beyond the memory limit for what libraries map and never touch: with a bare RLIMIT_AS numpy does not load."""
_STACK = 8 << 20


def wanted_limits(
    *, cpu_seconds: int, memory_bytes: int | None, tasks: int | None, open_files: int, file_bytes: int
) -> dict[str, tuple[int, int]]:
    """The soft and hard limit of each resource.

    `memory_bytes` is None where a cgroup bounds memory, and `tasks` where one bounds processes. `tasks` counts every
    process and thread of the uid, those of others included.
    """
    limits = {
        "CORE": (1, 1),  # with 0 the kernel still feeds a core to a machine's crash handler, which is root; not with 1
        "CPU": (cpu_seconds, cpu_seconds + 1),  # SIGXCPU, and a second later SIGKILL
        "FSIZE": (file_bytes, file_bytes),
        "MEMLOCK": (0, 0),
        "MSGQUEUE": (0, 0),
        "NICE": (0, 0),  # whatever the worker's user may: nice 19 stays
        "NOFILE": (open_files, open_files),
        "RTPRIO": (0, 0),
        "STACK": (_STACK, _STACK),
    }
    if tasks is not None:
        limits["NPROC"] = (tasks, tasks)
    if memory_bytes is not None:
        limits["DATA"] = (memory_bytes, memory_bytes)
        limits["AS"] = (memory_bytes + _RESERVED_ADDRESSES, memory_bytes + _RESERVED_ADDRESSES)
    return limits


def set_limits(limits: Mapping[str, tuple[int, int]]) -> None:
    """Put limits into force. Where the process has a lower hard limit already, that one stays. Raises OSError."""
    for name, (soft, hard) in limits.items():
        number = _number(name)
        ceiling = resource.getrlimit(number)[1]
        resource.setrlimit(number, (_lower(soft, ceiling), _lower(hard, ceiling)))


def limits_in_force(limits: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The same resources, as the kernel says now."""
    return {name: resource.getrlimit(_number(name)) for name in limits}


def as_strict_as(found: Mapping[str, tuple[int, int]], wanted: Mapping[str, tuple[int, int]]) -> bool:
    """Whether every limit found is the wanted one, or a lower one."""
    return all(
        _lower(is_, wants) == is_ for name in wanted for is_, wants in zip(found[name], wanted[name], strict=True)
    )


def open_as_many_files_as_allowed() -> None:
    """Raise the soft limit of open files to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _lower(one: int, other: int) -> int:
    if UNLIMITED in (one, other):
        return other if one == UNLIMITED else one
    return min(one, other)


def _number(name: str) -> int:
    number: int = getattr(resource, f"RLIMIT_{name}")
    return number
