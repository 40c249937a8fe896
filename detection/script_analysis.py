"""Stage 2 without bandit: from the bytes of a script to the notes of our own rules."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

from detection.name_walk import NameWalk
from detection.notes import Note, note
from detection.quick_checks import parse
from detection.source_text import fatal_note
from detection.static_rules import static_notes


@dataclass(frozen=True)
class Script:
    """A script that may be analysed."""

    source: bytes
    tree: ast.Module
    walk: NameWalk


def acceptable(source: bytes) -> Script | Note:
    """A script, or why it is none: what the first stage refuses is not looked at again here."""
    fatal = fatal_note(source)
    if fatal is not None:
        return fatal
    tree = parse(source)
    if not isinstance(tree, ast.Module):
        return tree
    walk = NameWalk()
    return walk.through(tree) or Script(source, tree, walk)


def own_notes(script: Script) -> list[Note]:
    """What our rules notice. Raises RecursionError and MemoryError where a script is made for that."""
    return [*_compile_notes(script.tree), *static_notes(script.walk)]


def _compile_notes(tree: ast.Module) -> list[Note]:
    """What only the compiler finds, such as a `return` outside a function."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(tree, "<script>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return [note("invalid_program", line=error.lineno, column=error.offset, detail=error.msg)]
    except ValueError as error:
        return [note("invalid_program", detail=str(error))]
    return []
