"""Every text that an expression may amount to, by all that flows into its names. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, cast

from detection.folding import Folder
from detection.node_kinds import SEQUENCES
from detection.sources import Sources, callee

MAX_TEXTS = 500
"""Of one expression. What may be more is not known."""
MAX_LENGTH = 4096
MAX_DEPTH = 40
MAX_KEPT = 16 << 20
"""Characters of all texts of a script together: each name has its own set of them."""
Known = frozenset[str | None]
UNKNOWN: Known = frozenset({None})


class Texts:
    """The possible texts of a script's expressions. None among them: something about it only a run would tell."""

    def __init__(self, folder: Folder, sources: Sources) -> None:
        self._folder, self._sources = folder, sources
        self._known: dict[int, Known] = {}
        self._open: set[int] = set()
        """Expressions whose texts are being collected: those of others do not change any more."""
        self._flowing: dict[str, tuple[str | None, ...]] = {}
        self._depth = 0
        self._kept = 0

    def forget(self) -> None:
        """Start anew, as the folder does."""
        self._known.clear()
        self._flowing.clear()
        self._kept = 0

    def of(self, node: ast.expr) -> Known:
        """The texts of `node`; those of its elements, where it is a container."""
        key = id(node)
        if key not in self._known:
            if self._depth >= MAX_DEPTH or self._kept > MAX_KEPT:
                return UNKNOWN
            self._known[key] = frozenset()  # what a circle adds
            self._depth += 1
            self._open.add(key)
            try:
                known = self._known[key] = _capped(self._of(node))
                self._kept += sum(len(text) for text in known if text is not None)
            finally:
                self._depth -= 1
                self._open.discard(key)
        return self._known[key]

    def integers(self, node: ast.expr, depth: int = 4) -> frozenset[int]:
        """The integers that `node` may amount to, or its elements, as far as they are known."""
        value = self._folder.fold(node)
        found = {each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, int)}
        key = node.id if isinstance(node, ast.Name) else f".{node.attr}" if isinstance(node, ast.Attribute) else ""
        if depth and key:
            for source in self._sources.of.get(key, [])[:20]:
                found |= self.integers(source, depth - 1)
        return frozenset(found)

    def _of(self, node: ast.expr) -> Iterator[str | None]:
        value = self._folder.fold(node)
        yield from _flat(value)
        match node:
            case ast.Name(id=name):
                yield from self._flowing_into(name, known=value is not None)
            case ast.Attribute(attr=name):
                yield from self._flowing_into(f".{name}", known=value is not None)
            case ast.IfExp(body=one, orelse=two):
                yield from self.of(one) | self.of(two)
            case _ if value is None:
                yield from self._of_parts(node)
            case _:
                pass

    def _flowing_into(self, key: str, *, known: bool) -> Iterator[str | None]:
        sources = self._sources.of.get(key, ())
        if key in self._flowing:
            yield from self._flowing[key]
        elif sources:
            yield from self._collected(key, sources)
        elif not known:
            yield None

    def _collected(self, key: str, sources: Iterable[ast.expr]) -> Iterator[str | None]:
        """The texts of all sources. They are kept by key once they are settled: a name may be read as often as set."""
        found: dict[str | None, None] = {}
        settled = True
        for source in sources:
            texts = self.of(source)
            yield from texts
            found.update(dict.fromkeys(texts))
            settled = settled and id(source) in self._known and id(source) not in self._open
        if settled and len(found) < MAX_TEXTS // 2:
            self._flowing[key] = tuple(found)

    def _of_parts(self, node: ast.expr) -> Iterator[str | None]:
        match node:
            case ast.Subscript(value=inner) | ast.NamedExpr(value=inner) | ast.Starred(value=inner):
                yield from self.of(inner)
            case ast.Await(value=inner):
                yield from self.of(inner)
            case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                yield from self._any(parts)
            case ast.Dict(keys=keys, values=values):
                yield from self._any([*(key for key in keys if key is not None), *values])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                yield from self._joined([left, right])
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                yield from self._joined([left, right], "/")
            case ast.JoinedStr(values=parts):
                yield from self._joined(
                    [each.value if isinstance(each, ast.FormattedValue) else each for each in parts]
                )
            case ast.Call(func=function):
                yield from self._called(node, function)
            case ast.FormattedValue(value=inner):
                yield from self.of(inner)
            case _:
                yield None

    def _called(self, node: ast.Call, function: ast.expr) -> Iterator[str | None]:
        results = self._sources.of.get(f"{callee(function)}()")
        if results:
            yield from self._any(results)
        elif isinstance(function, ast.Attribute) and function.attr == "joinpath":
            yield from self._joined([function.value, *node.args], "/")
        elif isinstance(function, ast.Attribute) and function.attr in _SAME_PATH and not node.args:
            yield from self.of(function.value)
        elif callee(function) in {"join", "Path", "PurePath", "PosixPath"} and len(node.args) > 1:
            yield from self._joined(node.args, "/")
        elif isinstance(function, ast.Attribute) and function.attr == "join" and node.args:
            yield from self._joined_by(function.value, node.args[0])
        elif callee(function) in _PATHS and node.args:
            yield from self.of(node.args[0])
        elif isinstance(function, ast.Attribute) and function.attr in _READERS:
            yield from self.of(function.value)
        elif isinstance(function, ast.Name) and function.id in _PASSING and node.args:
            yield from self.of(node.args[0])
        else:
            yield None

    def _joined_by(self, by: ast.expr, parts: ast.expr) -> Iterator[str | None]:
        between = self._folder.text(by)
        if between is None or not isinstance(parts, SEQUENCES):
            yield None
        else:
            yield from self._joined(parts.elts, between)

    def _any(self, nodes: Iterable[ast.expr]) -> Iterator[str | None]:
        for node in nodes:
            yield from self.of(node)

    def _joined(self, parts: list[ast.expr], by: str = "") -> Iterator[str | None]:
        several = [self.of(part) for part in parts]
        size = 1
        for each in several:
            size *= max(len(each), 1)
            if None in each or size > MAX_TEXTS:
                yield None
                return
        yield from (by.join(cast("tuple[str, ...]", pieces)) for pieces in product(*several))


_SAME_PATH = frozenset({"resolve", "absolute", "expanduser", "as_posix"})
_PATHS = frozenset(
    {
        "Path",
        "PurePath",
        "PosixPath",
        "fspath",
        "expanduser",
        "abspath",
        "realpath",
        "normpath",
        "glob",
        "iglob",
        "walk",
        "listdir",
    }
)
_READERS = frozenset({"get", "pop", "values", "keys", "items", "copy"})
_PASSING = frozenset({"str", "list", "tuple", "set", "sorted", "reversed", "iter", "next", "dict", "max", "min"})


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, tuple):
        for each in cast("tuple[Any, ...]", value):
            yield from _flat(each)
    elif isinstance(value, dict):
        for pair in cast("dict[Any, Any]", value).items():
            yield from _flat(pair)


def _capped(texts: Iterable[str | None]) -> Known:
    found: set[str | None] = set()
    for text in texts:
        if len(found) >= MAX_TEXTS:
            found.add(None)
            break
        found.add(text if text is None or len(text) <= MAX_LENGTH else None)
    return frozenset(found)
