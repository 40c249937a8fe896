"""The digest of an environment, computed by its own interpreter: on the host to describe it, in the box to prove it.

It covers the interpreter's version and build, and for each installed distribution the list of its files with their
hashes (RECORD). It does not read those files: what protects them is that they are mounted or owned read-only.
"""

from __future__ import annotations

import os
import sys

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_LISTS = ("RECORD", "METADATA", "PKG-INFO")


def site_directories(python: str) -> list[str]:
    """Where the packages of a virtual environment are. An interpreter without one offers the standard library alone."""
    home = os.path.dirname(os.path.dirname(python))
    if not os.path.exists(os.path.join(home, "pyvenv.cfg")):
        return []
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return [path for path in (os.path.join(home, "lib", version, "site-packages"),) if os.path.isdir(path)]


def distributions(directories: list[str]) -> list[str]:
    """The directories that describe what is installed, in order."""
    found = [
        os.path.join(directory, name)
        for directory in directories
        for name in os.listdir(directory)
        if name.endswith((".dist-info", ".egg-info"))
    ]
    return sorted(found, key=os.path.basename)


def environment_digest(directories: list[str]) -> str:
    """64 hexadecimal digits. The same packages elsewhere have the same digest. Raises OSError."""
    digest = blake2b(digest_size=32)
    digest.update(f"{sys.implementation.name} {sys.version}\n".encode())
    for path in distributions(directories):
        digest.update(b"%s\n%s\n" % (os.path.basename(path).encode(), _listed(path)))
    return digest.hexdigest()


def _listed(path: str) -> bytes:
    for name in _LISTS:
        try:
            with open(os.path.join(path, name), "rb") as file:
                return blake2b(file.read(), digest_size=32).hexdigest().encode()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return b"-"
