"""What a script does to the model object it is given: it is there to be asked, not to be opened or replaced.

Standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from detection.name_walk import ENTRY_POINT
from detection.notes import Note, note_at
from detection.syntax_tree import all_nodes

_INSIDE = frozenset({"__self__", "__func__", "__wrapped__", "__getattribute__", "__reduce__", "__init__"})
_NAMESPACES = frozenset({"__dict__", "__slots__"})


def model_notes(nodes: Sequence[ast.AST]) -> Iterator[Note]:
    """Everything that is to be said about the first parameter of `evaluate_model`, in that function."""
    seen: set[int] = set()
    for function in nodes:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or function.name != ENTRY_POINT:
            continue
        parameters = [*function.args.posonlyargs, *function.args.args]
        if parameters and id(function) not in seen:
            for node in all_nodes(function):
                seen.add(id(node))
                yield from _notes(node, parameters[0].arg)


def _notes(node: ast.AST, model: str) -> Iterator[Note]:
    if isinstance(node, ast.Attribute):
        begins = _begins_with(node.value, model)
        if begins and isinstance(node.ctx, ast.Store) and _is_class_of(node.value, model):
            yield note_at("forges_harness", node, evidence=f"type({model}).{node.attr}")
        elif begins and node.attr in _INSIDE:
            yield note_at("opens_model", node, evidence=node.attr)
        elif begins and (node.attr in _NAMESPACES or (node.attr[:1] == "_" and node.attr[:2] != "__")):
            yield note_at("looks_into_model", node, evidence=node.attr)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id == "setattr" and _is_class_of(node.args[0], model):
            yield note_at("forges_harness", node, evidence=f"setattr(type({model}), ...)")
        elif node.func.id == "vars" and _begins_with(node.args[0], model):
            yield note_at("looks_into_model", node, evidence=f"vars({model})")


def _begins_with(node: ast.expr, model: str) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return _is_named(node, model) or _is_class_of(node, model)


def _is_class_of(node: ast.expr, model: str) -> bool:
    """`type(model)`, `model.__class__`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type":
        return len(node.args) == 1 and _is_named(node.args[0], model)
    return isinstance(node, ast.Attribute) and node.attr == "__class__" and _is_named(node.value, model)


def _is_named(node: ast.expr, model: str) -> bool:
    return isinstance(node, ast.Name) and node.id == model
