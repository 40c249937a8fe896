"""Where a path leads by now: through the links that a script has made, and those of /proc to its own files."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UNREADABLE = "unreadable"
"""Stands for a string at an address, or a link, that could not be read."""
_WITH_DETOURS = ("/proc/", "/dev/")
_MOST_LINKS = 40
"""The kernel follows no more."""
_MOST_PARTS = 512
"""Of one path, looked at for links: honest ones are shorter, and a script should not keep its runner busy."""


def led_to(
    path: str, own: tuple[str, ...], detour: Callable[[str], str], *, start: str = "", whole: bool = True
) -> str:
    """The same path as text that can be told on, without links; the last part is looked at only if `whole`.

    `start` is the directory that it starts from, as the kernel calls it: without links already, however deep it is.
    `own` are the directories below which a script can make links, each with a slash at its end. `detour` says where a
    path below /proc or /dev leads, empty where it is no link of its caller's. All other links are the machine's.
    """
    joined = f"{start}/{path}" if start else path
    plain = os.path.normpath(joined)
    plain = plain[1:] if plain.startswith("//") else plain
    led = plain.startswith(own) or plain.startswith(_WITH_DETOURS) or ".." in path
    if not (led and joined.startswith("/")):
        return tellable(plain)
    return tellable(_followed(path, start.rstrip("/"), own, detour, whole=whole))


def link_text(path: str) -> str:
    """What is written in a link: a name may be any bytes."""
    try:
        return os.readlink(path.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
    except OSError:
        return UNREADABLE


def tellable(path: str) -> str:
    """As text that can be told on."""
    return path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _followed(path: str, start: str, own: tuple[str, ...], detour: Callable[[str], str], *, whole: bool) -> str:
    """Part by part, because `..` behind a link goes up from where that leads."""
    at, parts, links, looked = start, path.split("/")[::-1], 0, 0
    while parts:
        part = parts.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            at = at.rpartition("/")[0]
            continue
        at = f"{at}/{part}"
        looked += 1
        if looked > _MOST_PARTS:
            return UNREADABLE
        target = _target(at, own, detour) if (parts or whole) and links < _MOST_LINKS else ""
        if target:
            links += 1
            at = "" if target.startswith("/") else at.rpartition("/")[0]
            parts += target.split("/")[::-1]
    return at or "/"


def _target(path: str, own: tuple[str, ...], detour: Callable[[str], str]) -> str:
    """What a path is a link to; empty where it is none that is followed."""
    if path.startswith(own):
        target = link_text(path)
        return "" if target == UNREADABLE else target
    return detour(path) if path.startswith(_WITH_DETOURS) else ""
