"""Rules about what a script does after its end: at exit, when objects are collected. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from detection.notes import Note, note_at
from detection.resolving import Resolver
from detection.syntax_tree import within

_WRITERS = frozenset(
    {"print", "open", "write", "writelines", "write_text", "write_bytes", "_exit", "abort", "kill", "dup2"}
)
_REGISTERING = frozenset({"atexit.register", "weakref.finalize", "threading._register_atexit"})


def ending_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`atexit.register(print, "...")`, `weakref.finalize(x, f)` where f writes."""
    if not resolver.meanings(node.func) & _REGISTERING:
        return
    for argument in node.args:
        if _writes(argument, resolver):
            yield note_at("acts_after_end", node, evidence="what is registered writes")
            return


def registered_notes(node: ast.FunctionDef | ast.AsyncFunctionDef, resolver: Resolver) -> Iterator[Note]:
    """`@atexit.register` over a function that writes a file, or prints what looks like a result."""
    if any(resolver.meanings(each) & _REGISTERING for each in node.decorator_list) and _body_forges(node):
        yield note_at("acts_after_end", node, evidence=node.name)


def collected_notes(node: ast.ClassDef) -> Iterator[Note]:
    """`def __del__(self): print(...)`."""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__del__" and _body_writes(statement):
            yield note_at("acts_after_end", statement, evidence="__del__")


def _writes(node: ast.expr, resolver: Resolver) -> bool:
    if isinstance(node, ast.Lambda):
        return any(_is_writer(part) for part in within(node))
    if isinstance(node, ast.Attribute):
        return node.attr in _WRITERS or any(map(_body_writes, resolver.sources.functions_of(node.attr)))
    if isinstance(node, ast.Name):
        return node.id in _WRITERS or any(map(_body_writes, resolver.sources.functions_of(node.id)))
    return False


def _body_writes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(_is_writer(part) for line in function.body for part in within(line))


def _body_forges(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    parts = [part for line in function.body for part in within(line)]
    if not any(isinstance(part, ast.Constant) and str(part.value).lstrip().startswith("{") for part in parts):
        parts = [part for part in parts if not _prints(part)]
    return any(map(_is_writer, parts))


def _prints(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def _is_writer(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )
    return name in _WRITERS
