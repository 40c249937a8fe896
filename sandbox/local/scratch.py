"""Scratch directories of runs that have no file system of their own, and their removal, however deep they are."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from domain.errors import SandboxUnavailable

_OTHERS_MAY_ENTER = 0o001


def make_scratch(place: Path, uid: int | None) -> Path:
    """Make one for a run. Raises SandboxUnavailable where the run's user could not reach it."""
    remove_tree(place)  # of a worker that was killed before it could say that it had made one
    place.mkdir(parents=True, mode=0o700)
    if uid is not None:
        try:
            os.chown(place, uid, uid)
        except OSError as error:  # in a user namespace that knows root alone, for instance
            place.rmdir()
            words = f"Runs have a user of their own, and {uid} cannot be one here: {error.strerror}."
            raise SandboxUnavailable(words) from error
        for parent in place.parents:
            if not parent.stat().st_mode & _OTHERS_MAY_ENTER:
                place.rmdir()
                words = (
                    f"Runs have a user of their own, who cannot enter {parent}: chmod o+x it, or set AIRLOCK_STATE_DIR."
                )
                raise SandboxUnavailable(words)
    return place


def remove_tree(place: Path) -> None:
    """Remove a directory and all below it: no recursion, no link followed, no path longer than one name."""
    if not place.exists():
        return
    root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _empty(root)
    finally:
        os.close(root)
    place.rmdir()


def _empty(root: int) -> None:
    """Move every directory up to the root as it is found, so that nothing is ever deep."""
    while names := os.listdir(root):
        for name in names:
            _remove_one(root, name)


def _remove_one(root: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=root)
    except IsADirectoryError:
        with suppress(OSError):
            os.chmod(name, 0o700, dir_fd=root)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
        try:
            for each in os.listdir(inner):  # noqa: PTH208 - of a descriptor
                try:
                    os.unlink(each, dir_fd=inner)
                except IsADirectoryError:
                    _lift(inner, each, root, secrets.token_hex(16))  # a name that nobody has laid in our way
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=root)


def _lift(source: int, name: str, root: int, new: str) -> None:
    """Moving a directory needs the right to write into it, which its owner may have taken away."""
    with suppress(OSError):
        os.chmod(name, 0o700, dir_fd=source)
    os.rename(name, new, src_dir_fd=source, dst_dir_fd=root)
