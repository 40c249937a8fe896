"""Modules that are handed around as values, and what is then done with things of unknown origin."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from detection.names import MODULE_NAMES
from detection.notes import Note, note_at
from detection.resolving import Resolver
from detection.static_tables import DETOUR_RULES
from detection.syntax_tree import Nodes

_ESCAPABLE = frozenset({"os", "posix", "subprocess", "builtins", "sys", "importlib"})
_LOOKERS = frozenset({"getattr", "hasattr", "setattr", "delattr", "vars", "dir", "id", "object", "reload", "dict"})
"""Calls that do not pass a module on: the other rules look into them, `patch.object` included."""


_COMMON = frozenset({"eval", "compile", "run", "call", "link", "kill", "abort"})
"""Attributes that many honest objects have."""


def escape_notes(nodes: Nodes, resolver: Resolver) -> Iterator[Note]:
    """`def f(m): m.system("true")` beside `f(os)`: neither says anything alone."""
    escaped = sorted(_escaped(nodes, resolver))
    for node in nodes.of(ast.Attribute) if escaped else ():
        if not isinstance(node.ctx, ast.Load) or node.attr in _COMMON:
            continue
        for module in escaped:
            rule = DETOUR_RULES.get(MODULE_NAMES.get(module, {}).get(node.attr, ""))
            if rule is not None and not resolver.meanings(node.value) and not resolver.is_import(node.value):
                yield note_at(rule, node, evidence=f"{module} as a value, then .{node.attr}")


def _escaped(nodes: Nodes, resolver: Resolver) -> set[str]:
    """The modules that are used as values: arguments, elements, attributes, subjects."""
    named = resolver.names_for(_ESCAPABLE)
    if not any(node.id in named for node in nodes.of(ast.Name)):
        return set()
    explained = {id(node.value) for node in nodes.of(ast.Attribute)}
    escaped: set[str] = set()
    for call in nodes.of(ast.Call):
        if _last_name(call.func) in _LOOKERS:
            explained.update(map(id, call.args))
    for node in nodes.of(ast.Assign):
        if all(isinstance(target, ast.Name) for target in node.targets):
            explained.add(id(node.value))  # an alias, which the resolver follows, unless it is a class's
            escaped.update(resolver.meanings(node.value) & _ESCAPABLE if isinstance(node.value, ast.Name) else ())
    for node in nodes.of(ast.Name):
        if node.id in named and isinstance(node.ctx, ast.Load) and id(node) not in explained:
            escaped.update(resolver.meanings(node) & _ESCAPABLE)
    return escaped


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
