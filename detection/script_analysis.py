"""Stage 2 without bandit: from the bytes of a script to the notes of our own rules."""

from __future__ import annotations

import ast
import warnings

from detection.name_walk import check_tree
from detection.notes import Note, note
from detection.quick_checks import parse
from detection.source_text import fatal_note
from detection.static_rules import static_notes

_BOUNDS = frozenset({"too_deep", "too_many_nodes"})


def acceptable(source: bytes) -> ast.Module | Note:
    """The tree of a script, or why there is none: what the first stage refuses is not looked at again here."""
    fatal = fatal_note(source)
    if fatal is not None:
        return fatal
    tree = parse(source)
    if not isinstance(tree, ast.Module):
        return tree
    return next((found for found in check_tree(tree) if found["rule"] in _BOUNDS), tree)


def own_notes(source: bytes, tree: ast.Module) -> list[Note]:
    """What our rules notice. Raises RecursionError and MemoryError where a script is made for that."""
    return [*_compile_notes(source), *static_notes(tree)]


def _compile_notes(source: bytes) -> list[Note]:
    """What only the compiler finds, such as a `return` outside a function."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "<script>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return [note("invalid_program", line=error.lineno, column=error.offset, detail=error.msg)]
    except ValueError as error:
        return [note("invalid_program", detail=str(error))]
    return []
