"""A script without the texts that a reader can read: what is left is what it does. Standard library only."""

from __future__ import annotations

import ast

from detection.script_analysis import Script

MIN_TEXT = 12


def without_texts(script: Script) -> bytes:
    """The source with readable texts emptied, on the same lines.

    What has a blank in it is prose, or code that a rule finds where it is run; names and encoded texts stay.
    """
    lines = script.source.splitlines(keepends=True)
    for node in sorted(_readable(script), key=lambda each: (each.lineno, each.col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        lines[first : last + 1] = [before + b'""' + after, *([b"\n"] * (last - first))]
    return b"".join(lines)


def _readable(script: Script) -> list[ast.Constant]:
    nodes = script.walk.nodes
    inside = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    return [
        node
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in inside
        and len(node.value) >= MIN_TEXT
        and " " in node.value
    ]
