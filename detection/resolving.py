"""What the expressions of a script mean: dotted names such as `os.system`, through aliases and detours.

Flow-insensitive: a name means everything that it is ever assigned. Any of its meanings counts.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Sequence

from detection.bindings import Bindings
from detection.folding import Folder
from detection.static_tables import IMPORTERS, RELEVANT_NAMES

MAX_ROUNDS = 40
"""Aliases of aliases, in the worst order. Honest scripts settle in four."""
MAX_ELEMENTS = 100
"""Of a display that a name may come from."""
Meanings = frozenset[str]
NOTHING: Meanings = frozenset()

_BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("__")) | {"__import__"}
_BARE_INTERNALS = frozenset({"subclasses", "globals", "builtins", "closure", "loader", "mro"})
_FOUND_IN_OTHERS = frozenset({"os", "posix", "sys", "subprocess", "builtins", "importlib"})
"""Modules that are attributes of other modules: `shutil.os`, `random._os`."""
_READERS = frozenset({"get", "pop", "__getitem__", "setdefault"})


class Resolver:
    """The meanings of expressions in one script."""

    def __init__(self, nodes: Sequence[ast.AST], imported: dict[str, str]) -> None:
        self._assigned: dict[str, list[ast.expr]] = {}
        self._imported = imported
        self._relevant = RELEVANT_NAMES | frozenset(imported.values())
        self._bound: set[str] = set()
        self._collect(nodes)
        self.bindings = Bindings(nodes)
        self.names_internals = any(isinstance(node, ast.Constant) and node.value in _BARE_INTERNALS for node in nodes)
        """Whether a word stands in the script that is the name of an interpreter's internal without its underscores."""
        self.folder = Folder(self.bindings, self.meanings)
        self._names: dict[str, Meanings] = {}
        self._known: dict[int, Meanings] = {}
        self.settled = any(not self._another_round() for _ in range(MAX_ROUNDS))
        """False where a script's aliases are more tangled than any honest script's."""

    def meanings(self, node: ast.expr) -> Meanings:
        """Every dotted name that `node` may mean, none where it means nothing that is known."""
        key = id(node)
        if key not in self._known:
            self._known[key] = NOTHING  # what a circle through constants finds
            self._known[key] = self._kept(self._of(node))
        return self._known[key]

    def _kept(self, found: Iterable[str]) -> Meanings:
        """Only what a rule may ask for: so names settle, however they are tangled."""
        return self._relevant.intersection(found)

    def _another_round(self) -> bool:
        """Let every name mean what is assigned to it, by what is known. Returns whether that changed anything."""
        self._known.clear()
        self.folder.forget()
        changed = False
        for name, values in self._assigned.items():
            found = self._kept(meaning for value in values for meaning in self.meanings(value))
            changed = changed or found != self._names.get(name, NOTHING)
            self._names[name] = found
        return changed

    def is_import(self, node: ast.expr) -> bool:
        """Whether `node` begins with the name of something imported: then its origin is known, and harmless."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self._imported

    def sources(self, name: str) -> list[ast.expr]:
        """What a name is assigned, anywhere."""
        return self._assigned.get(name, [])

    def _of(self, node: ast.expr) -> Iterator[str]:
        if isinstance(node, ast.Name):
            yield from self._name(node)
        elif isinstance(node, ast.Attribute):
            owners = self.meanings(node.value)
            if node.attr.removeprefix("_") in _FOUND_IN_OTHERS and "asyncio" not in owners:
                yield node.attr.removeprefix("_")
            if node.attr == "__self__" and isinstance(node.value, ast.Name) and node.value.id in _BUILTINS:
                yield "builtins"  # a builtin function is bound to its module
            for owner in owners:
                yield f"{owner}.{node.attr}"
        elif isinstance(node, ast.Call):
            yield from self._call(node)
        elif isinstance(node, ast.Subscript):
            yield from self._subscript(node.value, node.slice)
        elif isinstance(node, ast.NamedExpr | ast.Await | ast.Starred):
            yield from self.meanings(node.value)
        else:
            for part in _alternatives(node):
                yield from self.meanings(part)

    def _name(self, node: ast.Name) -> Iterator[str]:
        if node.id in self._imported:
            yield self._imported[node.id]
        yield from self._names.get(node.id, NOTHING)
        if node.id == "__builtins__":
            yield "builtins"
        elif node.id in _BUILTINS and node.id not in self._bound and node.id not in self._assigned:
            yield f"builtins.{node.id}"

    def _call(self, node: ast.Call) -> Iterator[str]:
        for function in self.meanings(node.func):
            yield from self._called(function, node)
        if isinstance(node.func, ast.Lambda):
            yield from self.meanings(node.func.body)
        elif isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in _READERS:
                yield from self._subscript(node.func.value, node.args[0])
            elif node.func.attr == "__getattribute__":
                yield from self._attribute(node.args[-2] if len(node.args) > 1 else node.func.value, node.args[-1])
        elif isinstance(node.func, ast.Call):
            yield from self._getter(node.func, node)

    def _called(self, function: str, node: ast.Call) -> Iterator[str]:
        yield f"{function}()"
        if not node.args:
            return
        if function in IMPORTERS:
            module = self.folder.text(node.args[0])
            if module is not None:
                # `__import__("a.b")` gives a, `import_module("a.b")` gives a.b
                yield module.partition(".")[0] if function.endswith("__import__") else module
        elif function in {"builtins.getattr", "inspect.getattr_static"} and len(node.args) > 1:
            yield from self._attribute(node.args[0], node.args[1])
        elif function == "builtins.vars":
            for owner in self.meanings(node.args[0]):
                yield f"{owner}.__dict__"
        elif function in {"functools.partial", "importlib.reload"}:
            yield from self.meanings(node.args[0])

    def _attribute(self, owner: ast.expr, name: ast.expr) -> Iterator[str]:
        text = self.folder.text(name)
        if text is not None:
            for meaning in self.meanings(owner):
                yield f"{meaning}.{text}"

    def _getter(self, maker: ast.Call, node: ast.Call) -> Iterator[str]:
        """`attrgetter("system")(os)`, `itemgetter("eval")(vars(builtins))`."""
        if not (node.args and maker.args):
            return
        made = self.meanings(maker.func)
        if "operator.attrgetter" in made:
            yield from self._attribute(node.args[0], maker.args[0])
        elif "operator.itemgetter" in made:
            yield from self._subscript(node.args[0], maker.args[0])

    def _subscript(self, owner: ast.expr, key: ast.expr) -> Iterator[str]:
        text = self.folder.text(key)
        if text is not None:
            for meaning in self.meanings(owner):
                yield self._item(meaning, text)
        inside: list[ast.expr] = []
        if isinstance(owner, ast.List | ast.Tuple):
            inside = owner.elts
        elif isinstance(owner, ast.Dict):
            inside = owner.values
        for value in inside[:MAX_ELEMENTS]:
            yield from self.meanings(value)

    def _item(self, owner: str, key: str) -> str:
        """What `owner[key]` means, where `owner` is a namespace."""
        if owner == "sys.modules":
            return key
        if owner.endswith(".__dict__"):
            return f"{owner.removesuffix('.__dict__')}.{key}"
        if owner == "builtins":
            return f"builtins.{key}"
        if owner in {"builtins.globals()", "builtins.locals()"}:
            return "builtins" if key == "__builtins__" else self._imported.get(key, "")
        return ""

    def _collect(self, nodes: Sequence[ast.AST]) -> None:
        for node in nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._bind(target, node.value)
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                self._bind(node.target, node.value)
            elif isinstance(node, ast.AugAssign | ast.For | ast.AsyncFor | ast.comprehension):
                self._bind_unknown(node.target)
            elif isinstance(node, ast.With | ast.AsyncWith):
                for item in node.items:
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, item.context_expr)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                self._bind_arguments(node)

    def _bind_arguments(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        positional = [*node.args.posonlyargs, *node.args.args]
        for argument, default in zip(reversed(positional), reversed(node.args.defaults), strict=False):
            self._assigned.setdefault(argument.arg, []).append(default)
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if default is not None:
                self._assigned.setdefault(argument.arg, []).append(default)
        self._bound.update(argument.arg for argument in (*positional, *node.args.kwonlyargs))
        if not isinstance(node, ast.Lambda):
            self._bound.add(node.name)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                for each, part in zip(target.elts, value.elts, strict=True):
                    self._bind(each, part)
            else:
                self._bind_unknown(target)

    def _bind_unknown(self, target: ast.expr) -> None:
        self._bound.update(name.id for name in ast.walk(target) if isinstance(name, ast.Name))


def _alternatives(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    return list(node.values) if isinstance(node, ast.BoolOp) else []
