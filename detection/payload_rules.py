"""Code where nobody looks for it: pickles in literals, factories in configurations, annotations that are read.

Standard library only.
"""

from __future__ import annotations

import ast
import io
import pickletools
import re
from collections.abc import Iterator, Sequence

from detection.arguments import argument_texts
from detection.disguises import decoded
from detection.names import IMPORTS, MODULE_NAMES
from detection.node_kinds import FUNCTIONS, SUMS_AND_CALLS, TEXTS
from detection.notes import Note, note_at
from detection.origins import origin
from detection.reaching import reached_from
from detection.resolving import Resolver
from detection.sources import callee
from detection.static_tables import DETOUR_RULES
from detection.syntax_tree import Nodes
from detection.templates import template

MAX_PICKLE = 64 * 1024
MAX_OPCODES = 20_000
MIN_PICKLE = 8
_CALLING = frozenset(
    {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2"}
)
_SENDING_HANDLER = re.compile(r"\b(?:SysLog|Socket|HTTP|SMTP|Datagram|NTEventLog|\*)Handler\b|handlers\.\*Handler")
_NAMES = re.compile(r"[\w.]+ [\w.]+")
"""A module and a name in it. `import socket` reads as INST, too, but of a module `mport socket`."""
_STARTS = (b"\x80", b"c", b"(", b"i", b"V", b"S", b"]", b"}")
_ANNOTATION_READERS = frozenset({"get_type_hints", "get_annotations", "ForwardRef", "eval_str", "resolve_types"})


def pickled_code(nodes: Nodes) -> Iterator[Note]:
    """Literals that are pickles which call something, as they stand or encoded."""
    for node in nodes.of(ast.Constant):
        if isinstance(node.value, TEXTS) and any(map(is_pickled_call, _candidates(node.value))):
            yield note_at("unpickles_literal", node, evidence="a pickle that calls something")


def is_pickled_call(data: bytes) -> bool:
    """Whether bytes are a pickle that imports or calls something when it is loaded."""
    if not data.startswith(_STARTS) or not MIN_PICKLE <= len(data) <= MAX_PICKLE:
        return False
    names: set[str] = set()
    try:
        for number, (opcode, named, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            names.add(opcode.name)
            prose = opcode.name in {"GLOBAL", "INST"} and not _NAMES.fullmatch(str(named))
            if number > MAX_OPCODES or prose:
                return False
    except (ValueError, IndexError, KeyError, UnicodeDecodeError, OverflowError, EOFError):
        return False
    return "STOP" in names and bool(names & _CALLING)


def _candidates(value: str | bytes) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif value.isascii():
        yield value.encode("ascii")
    yield from decoded(value)


def factory_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`logging.config.dictConfig({"filters": {"a": {"()": "os.system"}}})`: the configuration is the program."""
    for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
        for text in (*origin(argument, resolver).texts, *_put_together(argument, resolver)):
            if _SENDING_HANDLER.search(text):
                yield note_at("raw_network", node, evidence=text)
                return
            module, _, name = text.removeprefix("ext://").rpartition(".")
            rule = DETOUR_RULES.get(MODULE_NAMES.get(module, {}).get(name, ""))
            if rule or module.partition(".")[0] in IMPORTS:
                yield note_at(rule or "hidden_import", node, evidence=text)
                return


def _put_together(node: ast.expr, resolver: Resolver) -> Iterator[str]:
    """Texts in a value that are not written in one piece."""
    for part in reached_from(node, resolver):
        if isinstance(part, SUMS_AND_CALLS):
            yield from argument_texts([part], resolver)
            yield resolver.folder.text(part) or template(part, resolver)


def read_annotations(nodes: Nodes) -> Iterator[tuple[ast.expr, str]]:
    """The texts of annotations that are more than a name, in a script that has annotations evaluated."""
    if _ANNOTATION_READERS.isdisjoint(_names(nodes)):
        return
    for node in nodes.of(ast.AnnAssign, ast.arg, *FUNCTIONS):
        for annotation in _annotations(node):
            for part in ast.walk(annotation):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and "(" in part.value:
                    yield part, part.value


def _names(nodes: Nodes) -> Iterator[str | None]:
    """Every name that is read, handed on by keyword, bound by a parameter or imported from a module."""
    yield from (node.attr for node in nodes.of(ast.Attribute))
    yield from (node.id for node in nodes.of(ast.Name))
    yield from (node.arg for node in nodes.of(ast.keyword, ast.arg))
    yield from (each.name for node in nodes.of(ast.ImportFrom) for each in node.names)


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.AnnAssign):
        yield node.annotation
    found = node.annotation if isinstance(node, ast.arg) else getattr(node, "returns", None)
    if isinstance(found, ast.expr):
        yield found


_EVALUATING = frozenset({"get_type_hints", "get_annotations", "register", "signature", "evaluate_forward_ref"})


def written_annotations(nodes: Nodes) -> Iterator[Note]:
    """`f.__annotations__ = {"x": text}` beside something that evaluates annotations which are texts."""
    if not any(callee(node.func) in _EVALUATING for node in nodes.of(ast.Call)):
        return
    for node in nodes.of(ast.Assign):
        for target in node.targets:
            owner = target.value if isinstance(target, ast.Subscript) else target
            if isinstance(owner, ast.Attribute) and owner.attr == "__annotations__":
                yield note_at("hidden_dynamic_code", target, evidence="__annotations__")


def channel_notes(calls: Sequence[ast.Call]) -> Iterator[Note]:
    """`left.send_bytes(data)` and `right.recv()`: what is received is unpickled."""
    sent = [call for call in calls if _is_method(call, "send_bytes") and call.args and not _is_pickling(call.args[0])]
    if sent and any(_is_method(call, "recv") and not call.args for call in calls):
        yield note_at("unpickles_literal", sent[0], evidence="send_bytes, then recv")


def _is_method(call: ast.Call, name: str) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == name


def _is_pickling(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "dumps"
