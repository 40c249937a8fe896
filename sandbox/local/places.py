"""Where the system's own files are, and the few others that an honest interpreter opens."""

from __future__ import annotations

SYSTEM_ROOTS = ("/usr", "/lib", "/lib64", "/bin")
"""Programs and shared libraries; most are links into /usr."""
SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
    "/sys/devices/system/cpu/online",
    "/proc/self/maps",
)
"""The dynamic linker's index, the time zone, randomness, how many processors there are (thread pools ask), and what a
script has loaded itself: scikit-learn looks for its thread pools there, and ends with an exception where it may not."""


def beyond_system(roots: tuple[str, ...]) -> tuple[str, ...]:
    """Those directories that the system's own do not contain already."""
    return tuple(
        root for root in roots if not any(root == each or root.startswith(f"{each}/") for each in SYSTEM_ROOTS)
    )


def credentials_below(home: str) -> tuple[str, ...]:
    """Where credentials would be in a home directory. There are none, and whoever looks for them is to be seen."""
    names = (".aws", ".azure", ".config/gcloud", ".docker", ".git-credentials", ".gnupg", ".kube", ".npmrc", ".pypirc")
    return tuple(f"{home}/{name}" for name in (*names, ".pgpass", ".ssh", ".vault-token"))
