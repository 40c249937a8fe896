"""The size of a directory and of all below it, counted so that whoever fills it can hide no part: by descriptors, since
a path may be longer than the kernel takes, and as the owner, who may have closed a directory behind himself.
"""

from __future__ import annotations

import errno
import os
import stat

FULL = 1 << 62
"""Stands for more than anybody may have."""
MOST_ENTRIES = 20_000
_PER_ENTRY = 4096
"""What an entry costs besides its contents: a million empty files are not nothing."""
_LONGEST = 2048
"""Characters of a path before it is begun anew at a descriptor."""
_MOST_ANCHORS = 256
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOR_ITS_OWNER = 0o500
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""It has been removed, or replaced by something else, since it was seen."""


def bytes_below(directory: str, most_entries: int = MOST_ENTRIES) -> int:
    """The size of all files below a directory, never following a link.

    FULL where there are more entries, and where a part cannot be counted.
    """
    walk = _Walk(most_entries)
    try:
        return walk.size(directory)
    except OSError:
        return FULL
    finally:
        walk.close()


class _Walk:
    def __init__(self, most_entries: int) -> None:
        self._most_entries = most_entries
        self._anchors: list[int] = []
        self._closed: list[tuple[int, int]] = []
        """Directories that their owner had closed, and how: they are opened until everything is counted."""
        self._waiting: list[tuple[int | None, str]] = []
        self._entries = 0

    def size(self, directory: str) -> int:
        total = 0
        self._waiting.append((None, directory))
        while self._waiting:
            anchor, path = self._waiting.pop()
            opened = self._open(anchor, path)
            if opened is None:
                continue
            far = len(path) > _LONGEST
            try:
                total += self._size_of(opened, *((opened, "") if far else (anchor, f"{path}/")))
            finally:
                if far:
                    self._anchors.append(opened)
                else:
                    os.close(opened)
            if self._entries > self._most_entries or len(self._anchors) + len(self._closed) > _MOST_ANCHORS:
                return FULL
        return total

    def close(self) -> None:
        """Leave everything as it was."""
        for opened, mode in self._closed:
            os.chmod(f"/proc/self/fd/{opened}", mode)
            os.close(opened)
        for opened in self._anchors:
            os.close(opened)

    def _size_of(self, directory: int, anchor: int | None, prefix: str) -> int:
        total = 0
        with os.scandir(directory) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > self._most_entries:
                    break
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                total += _PER_ENTRY + status.st_blocks * 512
                if stat.S_ISDIR(status.st_mode):
                    self._waiting.append((anchor, prefix + entry.name))
        return total

    def _open(self, anchor: int | None, path: str) -> int | None:
        """None where it is gone. Raises OSError."""
        try:
            named = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=anchor)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise
        mode = stat.S_IMODE(os.fstat(named).st_mode)
        if mode & _FOR_ITS_OWNER == _FOR_ITS_OWNER:
            try:
                return os.open(".", _DIRECTORY, dir_fd=named)
            finally:
                os.close(named)
        self._closed.append((named, mode))
        os.chmod(f"/proc/self/fd/{named}", mode | _FOR_ITS_OWNER)
        return os.open(".", _DIRECTORY, dir_fd=named)
