"""Credentials that reach what `evaluate_model` returns, letter by letter or whole. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

from detection.node_kinds import CALLS_AND_ITEMS
from detection.origins import origin
from detection.resolving import Resolver
from detection.sources import callee
from detection.static_tables import CREDENTIAL_VARIABLE, ENVIRONMENT_READERS
from detection.syntax_tree import Nodes, next_level

MAX_FOLLOWED = 400
_TELLING_NOTHING = frozenset({"bool", "len", "isinstance", "type", "id", "callable"})
_KEEPING = frozenset(
    {
        "str",
        "list",
        "tuple",
        "ord",
        "hex",
        "repr",
        "sorted",
        "reversed",
        "dict",
        "int",
        "sum",
        "zip",
        "enumerate",
        "map",
    }
    | {"bytes", "join", "format", "encode", "hexlify", "b64encode", "b85encode", "b32encode", "quote", "dumps"}
    | {"from_bytes"}
)
"""Functions whose result tells what they were given."""


class _Step(NamedTuple):
    """What one part of a value adds: whether it is a credential, what it tells, and by which key more flows in."""

    reads: bool
    told: tuple[ast.AST, ...]
    key: str | None


class Credentials:
    """Where the credentials of one script go."""

    def __init__(self, nodes: Nodes, resolver: Resolver) -> None:
        self._resolver = resolver
        self._steps: dict[int, _Step] = {}
        self._told: dict[int, tuple[bool, set[str]]] = {}
        self.are_read = _are_read(nodes, resolver)
        """Whether any expression asks for a credential: most scripts have none, and nothing to follow."""
        self._keys = self._holding_keys() if self.are_read else frozenset[str]()
        """The keys of `Sources` into which a credential flows, at whatever distance."""

    def are_in(self, node: ast.expr) -> bool:
        """Whether a value tells what a credential is: `f"{score}{key}"` does, `bool(key)` does not."""
        reads, keys = self._told_in(node)
        return (reads or not self._keys.isdisjoint(keys)) and self._are_near(node)

    def _holding_keys(self) -> frozenset[str]:
        holding: set[str] = set()
        told_by: dict[str, list[str]] = {}
        for key, sources in self._resolver.sources.of.items():
            for source in sources:
                reads, keys = self._told_in(source)
                if reads:
                    holding.add(key)
                for each in keys:
                    told_by.setdefault(each, []).append(key)
        waiting = list(holding)
        while waiting:
            flowing = [key for key in told_by.pop(waiting.pop(), ()) if key not in holding]
            holding.update(flowing)
            waiting += flowing
        return frozenset(holding)

    def _told_in(self, node: ast.AST) -> tuple[bool, set[str]]:
        """Whether a value may read a credential itself, and by which keys more flows into it."""
        known = self._told.get(id(node))
        if known is None:
            keys, parts = set[str](), [node]
            for part in parts:
                step = self._step(part)
                if step.reads or len(parts) > MAX_FOLLOWED:
                    known = True, set[str]()
                    break
                parts += step.told
                if step.key is not None:
                    keys.add(step.key)
            known = self._told[id(node)] = known or (False, keys)
        return known

    def _are_near(self, node: ast.expr) -> bool:
        """Whether a credential is met before everything that a value is made from becomes too much to follow."""
        sources = self._resolver.sources.of
        reached: list[ast.AST] = [node]
        seen: set[str] = set()
        for place in range(MAX_FOLLOWED):
            if place == len(reached):
                return False
            step = self._step(reached[place])
            if step.reads:
                return True
            reached += step.told
            if step.key is not None and step.key not in seen:
                seen.add(step.key)
                if len(reached) < MAX_FOLLOWED and step.key in sources:
                    reached += sources[step.key][:MAX_FOLLOWED]
        return False

    def _step(self, part: ast.AST) -> _Step:
        step = self._steps.get(id(part))
        if step is None:
            reads = isinstance(part, CALLS_AND_ITEMS) and _reads_credential(part, self._resolver)
            step = self._steps[id(part)] = _Step(reads, tuple(islice(_told_by(part), MAX_FOLLOWED)), _key(part))
        return step


def _are_read(nodes: Nodes, resolver: Resolver) -> bool:
    sources = (source for sources in resolver.sources.of.values() for source in sources)
    added = (source for source in sources if isinstance(source, CALLS_AND_ITEMS))
    return any(_reads_credential(part, resolver) for part in chain(nodes.of(*CALLS_AND_ITEMS), added))


def _told_by(part: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression that its value tells."""
    if isinstance(part, ast.IfExp):
        yield from (part.body, part.orelse)
    elif isinstance(part, ast.Call):
        name = callee(part.func)
        if name in _TELLING_NOTHING:
            return
        if isinstance(part.func, ast.Attribute):
            yield part.func.value
        if name in _KEEPING:
            yield from part.args
    elif not isinstance(part, ast.Compare | ast.Lambda) and not _is_negation(part):
        yield from next_level([part])


def _is_negation(part: ast.AST) -> bool:
    return isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not)


def _key(part: ast.AST) -> str | None:
    if isinstance(part, ast.Name):
        return part.id
    if isinstance(part, ast.Attribute):
        return f".{part.attr}"
    if isinstance(part, ast.Call) and callee(part.func) not in _TELLING_NOTHING:
        return f"{callee(part.func)}()"
    return None


def _reads_credential(part: ast.Call | ast.Subscript, resolver: Resolver) -> bool:
    if isinstance(part, ast.Subscript):
        named = part.slice if "os.environ" in resolver.meanings(part.value) else None
    else:
        called = resolver.meanings(part.func)
        if part.args and called & {"os.path.expandvars", "posixpath.expandvars", "ntpath.expandvars"}:
            return any(map(CREDENTIAL_VARIABLE.search, origin(part.args[0], resolver).texts))
        named = part.args[0] if part.args and called & ENVIRONMENT_READERS else None
    return named is not None and any(text and CREDENTIAL_VARIABLE.search(text) for text in resolver.texts(named))
