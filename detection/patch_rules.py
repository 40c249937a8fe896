"""What is put in the place of others' functions: of libraries, of the streams, of the interpreter's hooks.

Standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from detection.local_names import own_nodes
from detection.node_kinds import SEQUENCES
from detection.notes import Note, note_at
from detection.resolving import Resolver
from detection.sources import callee
from detection.syntax_tree import within

_HOOKS = frozenset(
    {"excepthook", "displayhook", "unraisablehook", "breakpointhook", "__excepthook__", "__displayhook__"}
)
_HOOKED = frozenset({"sys", "threading"})
_MEANT_FOR_IT = frozenset({"showwarning", "formatwarning", "default_factory", "converter"})
"""Attributes that libraries offer for replacement."""
_STREAMS = frozenset({"stdout", "stderr", "__stdout__", "__stderr__"})
_EDITING = frozenset({"sub", "subn", "replace", "translate", "loads", "dumps", "format", "split", "partition"})


def patch_notes(node: ast.Assign, resolver: Resolver) -> Iterator[Note]:
    """`random.random = lambda: 0.0`, `sys.stdout = Editor(sys.stdout)`, `threading.excepthook = after`."""
    for target, value in _assigned(node):
        owners = resolver.meanings(target.value)
        if target.attr in _HOOKS and owners & _HOOKED:
            yield note_at("patches_library", target, evidence=f"{min(owners & _HOOKED)}.{target.attr}")
        elif target.attr in _STREAMS and "sys" in owners:
            if _edits(value, resolver):
                yield note_at("edits_output", target, evidence=f"sys.{target.attr}")
        elif target.attr not in _MEANT_FOR_IT and resolver.is_import(target.value) and is_own_function(value, resolver):
            yield note_at("patches_library", target, evidence=target.attr)


def _assigned(node: ast.Assign) -> Iterator[tuple[ast.Attribute, ast.expr]]:
    """Attributes and what they become: `a.b, c.d = f, g` sets two."""
    for target in node.targets:
        if isinstance(target, ast.Attribute):
            yield target, node.value
        elif isinstance(target, SEQUENCES):
            parts = node.value.elts if isinstance(node.value, SEQUENCES) else []
            parts = parts if len(parts) == len(target.elts) else [_first_of(node.value)] * len(target.elts)
            yield from (
                (each, part) for each, part in zip(target.elts, parts, strict=True) if isinstance(each, ast.Attribute)
            )


def _first_of(node: ast.expr) -> ast.expr:
    """What `(f,) * 2` holds; anything else as it is."""
    repeated = node.left if isinstance(node, ast.BinOp) else node
    return repeated.elts[0] if isinstance(repeated, SEQUENCES) and repeated.elts else node


def redirect_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`contextlib.redirect_stdout(Editor())`."""
    if callee(node.func) in {"redirect_stdout", "redirect_stderr"} and node.args and _edits(node.args[0], resolver):
        yield note_at("edits_output", node, evidence=callee(node.func))


def is_own_function(node: ast.expr, resolver: Resolver) -> bool:
    """Whether a value is a function or a class of the script."""
    if isinstance(node, ast.Lambda):
        return True
    if isinstance(node, ast.Call):  # `partial(f, 1)`, `wrapped(f)`
        return any(is_own_function(each, resolver) for each in node.args)
    return isinstance(node, ast.Name) and resolver.sources.defines(node.id)


def _edits(node: ast.expr, resolver: Resolver) -> bool:
    """Whether a stream's `write`, in a class of the script, changes what it is given."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    return any(
        isinstance(part, ast.Attribute) and part.attr in _EDITING
        for method in resolver.sources.methods_of(node.func.id, "write")
        for part in (*own_nodes(method.body), *(each for line in method.body for each in within(line)))
    )
