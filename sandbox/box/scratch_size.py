"""How much of its scratch space a script has filled."""

from __future__ import annotations

import os
import stat

from sandbox.box.process_tree import descendants

_NEARLY = 64 * 1024
_MOST_ENTRIES = 20_000
_PER_ENTRY = 4096
"""What an entry costs besides its contents: a million empty files are not nothing."""


def bytes_filled(directory: str, ancestor: int) -> int:
    """What those who come from `ancestor` keep there: below the directory, and in files that have no name any more."""
    sizes: dict[tuple[int, int], int] = {}
    for process in descendants(ancestor):
        _note_open(process, sizes)
        _note_mapped(process, directory, sizes)
    return bytes_below(directory) + sum(sizes.values())


def _note_open(process: int, sizes: dict[tuple[int, int], int]) -> None:
    for entry in _entries(f"/proc/{process}/fd"):
        try:
            status = os.stat(entry.path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
            sizes[status.st_dev, status.st_ino] = status.st_blocks * 512


def _note_mapped(process: int, directory: str, sizes: dict[tuple[int, int], int]) -> None:
    """Of what is only mapped, no more can be seen than how far the mappings reach."""
    for addresses, offset, device, inode in _mappings(process, directory):
        start, _, end = addresses.partition("-")
        major, _, minor = device.partition(":")
        file = os.makedev(int(major, 16), int(minor, 16)), int(inode)
        sizes[file] = max(sizes.get(file, 0), int(offset, 16) + int(end, 16) - int(start, 16))


def _mappings(process: int, directory: str) -> list[tuple[str, str, str, str]]:
    try:
        with open(f"/proc/{process}/maps", encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip("\n").split(maxsplit=5) for line in file if line.endswith(" (deleted)\n")]
    except OSError:
        return []
    return [(line[0], line[2], line[3], line[4]) for line in lines if line[5].startswith(f"{directory}/")]


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
