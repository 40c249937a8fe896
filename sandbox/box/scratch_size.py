"""How much of its scratch space a script has filled."""

from __future__ import annotations

import os

_NEARLY = 64 * 1024
_MOST_ENTRIES = 20_000
_PER_ENTRY = 4096
"""What an entry costs besides its contents: a million empty files are not nothing."""


def bytes_below(directory: str) -> int:
    """The size of all files below a directory, never following a link; stops counting at 20,000 entries, as if full."""
    total, entries, waiting = 0, 0, [directory]
    while waiting:
        for entry in _entries(waiting.pop()):
            entries += 1
            if entries > _MOST_ENTRIES:
                return 1 << 62
            try:
                total += _PER_ENTRY + entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
            except OSError:
                continue
    return total


def is_full(directory: str, limit: int | None) -> bool:
    """Whether nothing more fits: by the file system where that keeps the limit (None), else by what is there."""
    if limit is not None:
        return bytes_below(directory) >= limit - _NEARLY
    space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize <= _NEARLY or (space.f_files > 0 and space.f_favail == 0)


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except OSError:
        return []
