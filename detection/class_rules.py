"""Rules about what classes do behind their backs: when pickled, compared or collected. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from detection.ending_rules import collected_notes
from detection.notes import Note, note_at
from detection.syntax_tree import within

_REDUCING = frozenset({"__reduce__", "__reduce_ex__"})
_VALUES = frozenset({"str", "int", "float", "bytes", "dict", "list", "tuple", "complex", "set", "bool"})
_COMPARING = frozenset({"__eq__", "__ge__", "__gt__", "__contains__", "__le__", "__lt__"})


def class_notes(node: ast.ClassDef) -> Iterator[Note]:
    """Everything that is to be said about one class."""
    yield from collected_notes(node)
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    for method in methods:
        if method.name in _REDUCING and not _rebuilds_itself(method, node.name):
            yield note_at("pickles_calls", method, evidence=method.name)
    if any(isinstance(base, ast.Name) and base.id in _VALUES for base in node.bases):
        for method in methods:
            if method.name in _COMPARING and _is_always_true(method):
                yield note_at("forges_value", method, evidence=method.name)


def _rebuilds_itself(method: ast.FunctionDef, name: str) -> bool:
    """Whether what is returned is a text, or begins with the object's own class."""
    for line in method.body:
        for part in within(line):
            if isinstance(part, ast.Return) and isinstance(part.value, ast.Tuple) and part.value.elts:
                return _is_class(part.value.elts[0], name)
    return True


def _is_class(node: ast.expr, name: str) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "type"
    if isinstance(node, ast.Attribute):
        return node.attr == "__class__" or (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls", name})
    return isinstance(node, ast.Name) and node.id in {name, "cls"}


def _is_always_true(method: ast.FunctionDef) -> bool:
    match method.body[-1]:
        case ast.Return(value=ast.Constant(value=True)):
            return len(method.body) <= 2
        case _:
            return False
