"""Long lists of names, written as text: a reader scans words faster than quotes. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def kinds(*rows: tuple[str, str]) -> dict[str, str]:
    """From each word of each row's text to the row's kind; the last row wins."""
    return {word: kind for kind, text in rows for word in text.split()}


def ruled(table: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """From `module.name` to rule, as a table by module."""
    by_module: dict[str, dict[str, str]] = {}
    for dotted, rule in table.items():
        module, _, name = dotted.rpartition(".")
        by_module.setdefault(module, {})[name] = rule
    return by_module
