"""How much of its scratch space a script has filled."""

from __future__ import annotations

import os
import stat

from sandbox.box.process_tree import descendants
from sandbox.box.tree_size import bytes_below
from sandbox.controls.caller import place_of

_NEARLY = 64 * 1024


def bytes_filled(directory: str, ancestor: int) -> int:
    """What those who come from `ancestor` keep there: below the directory, and in files that have no name any more."""
    sizes: dict[tuple[int, int], int] = {}
    for process in descendants(ancestor):
        place = place_of(process)
        _note_open(place, sizes)
        _note_mapped(place, directory, sizes)
    return bytes_below(directory) + sum(sizes.values())


def _note_open(place: str, sizes: dict[tuple[int, int], int]) -> None:
    for entry in _entries(f"{place}/fd"):
        try:
            status = os.stat(entry.path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
            sizes[status.st_dev, status.st_ino] = status.st_blocks * 512


def _note_mapped(place: str, directory: str, sizes: dict[tuple[int, int], int]) -> None:
    """Of what is only mapped, no more can be seen than how far the mappings reach."""
    for addresses, offset, device, inode in _mappings(place, directory):
        start, _, end = addresses.partition("-")
        major, _, minor = device.partition(":")
        file = os.makedev(int(major, 16), int(minor, 16)), int(inode)
        sizes[file] = max(sizes.get(file, 0), int(offset, 16) + int(end, 16) - int(start, 16))


def _mappings(place: str, directory: str) -> list[tuple[str, str, str, str]]:
    try:
        with open(f"{place}/maps", encoding="utf-8", errors="replace", newline="\n") as file:  # names may have a \r
            lines = [line.removesuffix("\n").split(maxsplit=5) for line in file if line.endswith(" (deleted)\n")]
    except OSError:
        return []
    return [(line[0], line[2], line[3], line[4]) for line in lines if line[5].startswith(f"{directory}/")]


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
