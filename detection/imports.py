"""What a script imports, and which of it is missing where it would run. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from detection.local_names import Place, Span, lies_in, merged
from detection.names import IMPORTS, MODULE_NAMES, refusal
from detection.node_kinds import IMPORT_STATEMENTS
from detection.notes import Note, note_at
from detection.syntax_tree import Nodes

_CATCHES_IMPORT_ERROR = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


@dataclass
class Imports:
    """Import statements and the spans in which a missing module does no harm, as the walk meets them."""

    statements: list[ast.Import | ast.ImportFrom] = field(default_factory=list[ast.Import | ast.ImportFrom])
    _tries: list[ast.Try | ast.TryStar] = field(default_factory=list[ast.Try | ast.TryStar])
    _spans: list[Span] = field(default_factory=list[Span])
    _main_spans: list[Span] = field(default_factory=list[Span])

    @classmethod
    def of(cls, nodes: Nodes) -> Self:
        """The import statements among all nodes of a tree."""
        return cls(nodes.of(*IMPORT_STATEMENTS))

    def see_try(self, node: ast.Try | ast.TryStar) -> None:
        """Remember a `try` that catches ImportError."""
        if any(_catches_import_error(handler.type) for handler in node.handlers):
            self._tries.append(node)
            self._spans.append(_span(node.body))

    def see_if(self, node: ast.If) -> None:
        """Remember the body of `if TYPE_CHECKING`, which never runs, and that of `if __name__ == "__main__"`."""
        if _last_name(node.test) == "TYPE_CHECKING":
            self._spans.append(_span(node.body))
        elif isinstance(node.test, ast.Compare) and _last_name(node.test.left) == "__name__":
            self._main_spans.append(_span(node.body))

    def see_with(self, node: ast.With) -> None:
        """Remember the body of `with suppress(ImportError)`."""
        calls = (item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call))
        suppressed = (each for call in calls if _last_name(call.func) == "suppress" for each in call.args)
        if any(map(_catches_import_error, suppressed)):
            self._spans.append(_span(node.body))

    def notes(self) -> Iterator[Note]:
        """Imports that are a finding in themselves."""
        for node in self.statements:
            if isinstance(node, ast.ImportFrom) and node.level:
                yield note_at("relative_import", node, evidence="." * node.level + (node.module or ""))
                continue
            for module in _modules(node):
                rule = refusal(module)
                if rule:
                    yield note_at(rule, node, evidence=module)
            if isinstance(node, ast.ImportFrom):
                yield from _imported_name_notes(node)

    def meanings(self) -> dict[str, frozenset[str]]:
        """Which local name stands for which modules or members of some: any import of that name counts."""
        known: dict[str, frozenset[str]] = {}
        for node in self.statements:
            for alias in node.names:
                if isinstance(node, ast.ImportFrom):
                    name, meaning = alias.asname or alias.name, f"{node.module}.{alias.name}"
                else:
                    name = alias.asname or _top(alias.name)
                    meaning = alias.name if alias.asname else name
                known[name] = known.get(name, frozenset()) | {meaning}
        return known

    def top_level_modules(self) -> set[str]:
        """Every module that is imported absolutely, by the first part of its name."""
        return {_top(module) for node in self.statements if not _is_relative(node) for module in _modules(node)}

    def missing(self, available: frozenset[str], *, as_program: bool) -> list[tuple[str, ast.AST]]:
        """Modules that are not available and whose absence nothing in the script catches, each once.

        `as_program`: the script runs as `__main__`, not as what a harness imports.
        """
        spans = self._spans + ([] if as_program else self._main_spans)
        spans += [span for node in self._tries for span in _unneeded_handlers(node, available)]
        harmless = merged(spans)
        lacking: dict[str, ast.AST] = {}
        for node in sorted(self.statements, key=_place):
            if _is_relative(node):
                continue
            absent = [module for module in map(_top, _modules(node)) if module not in available]
            if absent and not lies_in(_place(node), harmless):
                for module in absent:
                    lacking.setdefault(module, node)
        return list(lacking.items())


def _imported_name_notes(node: ast.ImportFrom) -> Iterator[Note]:
    names = MODULE_NAMES.get(node.module or "", {})
    for alias in node.names:
        if alias.name == "*" and "starts_process" in names.values():
            yield note_at("star_import", node, evidence=f"{node.module}.*")
        rule = names.get(alias.name) or IMPORTS.get(f"{node.module}.{alias.name}")
        if rule:
            yield note_at(rule, node, evidence=f"{node.module}.{alias.name}")


def _unneeded_handlers(node: ast.Try | ast.TryStar, available: frozenset[str]) -> Iterator[Span]:
    """`try: import a / except ImportError: import b` does not need b where a is available."""
    wanted = [module for statement in node.body for module in _statement_modules(statement)]
    if wanted and all(_top(module) in available for module in wanted):
        for handler in node.handlers:
            yield _span(handler.body)


def _statement_modules(statement: ast.stmt) -> list[str]:
    return _modules(statement) if isinstance(statement, IMPORT_STATEMENTS) else []


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]


def _is_relative(node: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(node, ast.ImportFrom) and node.level > 0


def _catches_import_error(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(_last_name(each) in _CATCHES_IMPORT_ERROR for each in kinds)


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _top(module: str) -> str:
    return module.partition(".")[0]


def _place(node: ast.stmt) -> Place:
    return node.lineno, node.col_offset


def _span(body: list[ast.stmt]) -> Span:
    last = body[-1]
    return _place(body[0]), (last.end_lineno or last.lineno, last.end_col_offset or last.col_offset + 1)
