"""Where in its registers each recorded call keeps its paths."""

from __future__ import annotations

PATHS: dict[str, tuple[tuple[int | None, int], ...]] = {
    "open": ((None, 0),),
    "creat": ((None, 0),),
    "openat": ((0, 1),),
    "openat2": ((0, 1),),
    "mkdir": ((None, 0),),
    "mkdirat": ((0, 1),),
    "rmdir": ((None, 0),),
    "unlink": ((None, 0),),
    "unlinkat": ((0, 1),),
    "truncate": ((None, 0),),
    "rename": ((None, 0), (None, 1)),
    "renameat": ((0, 1), (2, 3)),
    "renameat2": ((0, 1), (2, 3)),
    "link": ((None, 0), (None, 1)),
    "linkat": ((0, 1), (2, 3)),
    "symlink": ((None, 1),),
    "symlinkat": ((1, 2),),
    "chmod": ((None, 0),),
    "fchmodat": ((0, 1),),
    "fchmodat2": ((0, 1),),
    "chown": ((None, 0),),
    "lchown": ((None, 0),),
    "fchownat": ((0, 1),),
    "utime": ((None, 0),),
    "utimes": ((None, 0),),
    "futimesat": ((0, 1),),
    "utimensat": ((0, 1),),
    "setxattr": ((None, 0),),
    "lsetxattr": ((None, 0),),
    "mknod": ((None, 0),),
    "mknodat": ((0, 1),),
    "setxattrat": ((0, 1),),
    "removexattrat": ((0, 1),),
    "removexattr": ((None, 0),),
    "lremovexattr": ((None, 0),),
    "execve": ((None, 0),),
    "execveat": ((0, 1),),
}
"""For each path: the argument of the directory it starts from (None: the working directory), and its own."""

TEXT_OF_LINK = {"symlink": 0, "symlinkat": 0}
"""The argument with the text of a link that is made, which starts from the link."""

NAMES_A_LINK = frozenset(
    {"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"}
    | {"symlink", "symlinkat", "mknod", "mknodat", "lchown", "lsetxattr", "lremovexattr"}
    | {"fchmodat2", "fchownat", "utimensat", "setxattrat", "removexattrat"}  # a flag of theirs says so
)
"""Calls that mean a link itself where their path ends in one; all others mean what it leads to."""

DESCRIPTOR_CALLS = frozenset({"fchmod", "fchown", "fsetxattr", "fremovexattr"})
"""They change a file by a descriptor in their first argument."""

PROCESS_ARGUMENT = {
    "kill": 0,
    "tkill": 0,
    "tgkill": 0,
    "rt_sigqueueinfo": 0,
    "rt_tgsigqueueinfo": 0,
    "prlimit64": 0,
    "sched_setaffinity": 0,
    "sched_setparam": 0,
    "sched_setscheduler": 0,
    "sched_setattr": 0,
    "setpgid": 1,
}
"""Calls that reach another process, and the argument that says which: of setpgid the group that is joined.

`setpriority` may only name itself.
"""

FLAGS = {"open": 1, "openat": 2}
"""The argument with the flags of an open; those of openat2 are in memory."""

OPEN_FOR_WRITING = 0x243
"""O_WRONLY, O_RDWR, O_CREAT, O_TRUNC."""
NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
THREAD = 0x10000
"""CLONE_THREAD."""
