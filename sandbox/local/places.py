"""Where the system's own files are, and the few others that an honest interpreter opens: each place with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SYSTEM_ROOTS: Mapping[str, str] = MappingProxyType(
    {
        "/usr": "programs, shared libraries, the standard library",
        "/lib": "shared libraries; a link into /usr on most systems",
        "/lib64": "the dynamic linker",
        "/bin": "a link into /usr on most systems",
    }
)
"""Directories that may be read and executed from. What is started there is another matter: the interpreter, once."""
SYSTEM_FILES: Mapping[str, str] = MappingProxyType(
    {
        "/etc/ld.so.cache": "the dynamic linker's index",
        "/etc/localtime": "the time zone",
        "/etc/mime.types": "kinds of files: `mimetypes` fails where it is there and closed",
        "/dev/urandom": "randomness",
        "/sys/devices/system/cpu/online": "how many processors there are: thread pools ask",
        "/proc/meminfo": "how much memory there is, which a system call tells too: psutil asks",
        "/proc/sys/vm/overcommit_memory": "a number that is no secret: the allocator of Python 3.13 asks",
        "/proc/self/stat": "its own times: psutil asks",
        "/proc/self/statm": "its own memory",
        "/proc/self/status": "its own memory and threads: many scripts weigh themselves",
        "/proc/self/maps": "what it has loaded itself: scikit-learn looks for its thread pools there, or else fails",
    }
)
"""Files that may be read."""
THIEVES_LOOK_FOR = (
    *(".aws", ".azure", ".docker", ".env", ".git-credentials", ".gnupg", ".kube", ".netrc", ".npmrc", ".pgpass"),
    *(".pypirc", ".ssh", ".vault-token", "gcloud", "id_ed25519", "id_rsa"),
)
"""Names in a path below the scratch space: their opens are kept, wherever a script has moved them to."""


def beyond_system(roots: tuple[str, ...]) -> tuple[str, ...]:
    """Those directories that the system's own do not contain already."""
    return tuple(
        root for root in roots if not any(root == each or root.startswith(f"{each}/") for each in SYSTEM_ROOTS)
    )
