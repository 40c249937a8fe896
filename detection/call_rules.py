"""Rules about single calls: what is called, and with which arguments. Standard library only."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from detection.decoders import DECODERS
from detection.disguises import MIN_ENCODED, as_code
from detection.exhaustion_rules import limit_notes, signal_notes
from detection.names import ATTRIBUTES, IMPORTS, MODULE_NAMES, PATCHED_MODULES
from detection.namespace_rules import key_notes
from detection.network_addresses import is_public_address, names_metadata_service
from detection.notes import Note, note_at
from detection.reaching import MODEL, is_made_from_answers, reached_from
from detection.resolving import Meanings, Resolver
from detection.sensitive_paths import (
    is_container_engine,
    is_credential,
    is_kernel_interface,
    is_other_process,
    is_persistent,
)
from detection.sources import callee
from detection.static_tables import (
    ATTRIBUTE_GETTERS,
    CLIMBING,
    CODE_BUILDERS,
    CREDENTIAL_VARIABLE,
    DESCRIPTOR_CALLS,
    ENVIRONMENT_READERS,
    FILE_CALLS,
    FORMAT_FIELD,
    GUARDED_MODULES,
    IMPORTERS,
    INTERPRETERS,
    NETWORK_CALLS,
    OBJECT_LOADERS,
    OBJECT_TAGS,
    PATCHABLE_MODULES,
    RAW_NETWORK_CALLS,
    SENSITIVE_MODULES,
    SYSTEM_FILES,
    TEMPLATE_RUNNERS,
    TEXT_RUNNERS,
    UNPICKLERS,
)
from detection.syntax_tree import within
from detection.templates import template

_DUNDER = re.compile(r"__\*+(?:__)?|\*+__")
_REPLACERS = frozenset({"update", "setdefault", "__setitem__"})
_MUTATORS = _REPLACERS | {"insert", "append", "extend", "clear"}
MAX_PATH = 1024
"""A longer text is none."""


def call_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """Everything that is to be said about one call."""
    called = resolver.meanings(node.func)
    yield from handed_on_notes(node, resolver)
    yield from mutation_notes(node, resolver)
    for names, rule in _BY_NAME:
        if called & names:
            yield from rule(node, resolver)
    if isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "__getitem__"} and node.args:
        yield from key_notes(node.func.value, node.args[0], resolver)
    if "builtins.getattr" in called or "builtins.setattr" in called:
        yield from _attribute_notes(node, resolver, called)
    if isinstance(node.func, ast.Attribute):
        if node.func.attr in {"format", "format_map", "vformat", "get_field"}:
            yield from _format_notes(node, resolver)
        elif node.func.attr == "__getattribute__" and node.args:
            yield from _dangerous_texts(node.args[-1:], resolver)
    if any(keyword.arg is not None and keyword.arg.startswith("co_") for keyword in node.keywords):
        yield note_at("constructs_code", node, evidence="replace")
    if isinstance(node.func, ast.Call) and _is_type_of_function(node.func):
        yield note_at("constructs_code", node, evidence="type(function)(...)")


def _attribute_notes(node: ast.Call, resolver: Resolver, called: Meanings) -> Iterator[Note]:
    """`getattr(module, name)` and `setattr(module, name, value)`."""
    if len(node.args) < 2:
        return
    owners = resolver.meanings(node.args[0])
    texts = resolver.texts(node.args[1])
    if "builtins.setattr" in called:
        if owners & {f"{MODEL}.__class__", MODEL}:
            yield note_at("forges_harness", node, evidence=MODEL)
        elif libraries := owners & PATCHABLE_MODULES:
            yield note_at("patches_library", node, evidence=min(libraries))
        if owners & PATCHED_MODULES and not _is_none(node.args[-1]):
            yield note_at("forges_harness", node, evidence=f"setattr {min(filter(None, texts), default='')}")
        return
    if None in texts and owners & GUARDED_MODULES:
        yield note_at("computed_attribute", node, evidence=min(owners & GUARDED_MODULES))
    elif None in texts and _DUNDER.fullmatch(template(node.args[1], resolver)):
        yield note_at("hidden_introspection" if resolver.names_internals else "computed_internal", node)
    elif internal := sorted(text for text in texts if text in ATTRIBUTES):
        if not isinstance(node.args[1], ast.Constant):
            yield note_at("hidden_introspection", node, evidence=internal[0])


def _import_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    if not node.args:
        return
    modules = resolver.texts(node.args[0])
    if None in modules:
        yield note_at("computed_import", node)
        if is_made_from_answers(node.args[0], resolver):
            yield note_at("answer_as_code", node)
    for module in sorted(filter(None, modules)):
        top = module.partition(".")[0]
        if top in IMPORTS or (top in SENSITIVE_MODULES and not _is_written(node.args[0], module)):
            yield note_at("hidden_import", node, evidence=module)


def path_notes(node: ast.BinOp, resolver: Resolver) -> Iterator[Note]:
    """`Path.home() / ".ssh" / "id_rsa"`."""
    if isinstance(node.op, ast.Div):
        yield from _one_path_notes(node, template(node, resolver))
        yield from _one_path_notes(node, "/".join(_texts([node.left, node.right], resolver)))


def _file_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    for path in (*_texts(arguments, resolver), *(template(each, resolver) for each in (node, *arguments))):
        yield from _one_path_notes(node, path)


def _one_path_notes(node: ast.expr, path: str) -> Iterator[Note]:
    if len(path) > MAX_PATH or "\n" in path:
        return
    if is_credential(path) or is_other_process(path) or is_kernel_interface(path) or is_container_engine(path):
        yield note_at("sensitive_file", node, evidence=path)
    elif path in SYSTEM_FILES:
        yield note_at("system_file", node, evidence=path)
    elif is_persistent(path):
        yield note_at("persistence", node, evidence=path)


def _network_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    texts = [*_texts(arguments, resolver), *(str(number) for each in arguments for number in resolver.integers(each))]
    if any(map(is_container_engine, texts)):
        yield note_at("sensitive_file", node, evidence=next(filter(is_container_engine, texts)))
    if any(map(names_metadata_service, texts)):
        yield note_at("metadata_service", node, evidence=next(filter(names_metadata_service, texts)))
    called = min(resolver.meanings(node.func) & NETWORK_CALLS)
    raw = resolver.meanings(node.func) & RAW_NETWORK_CALLS
    public = next(filter(is_public_address, texts), None)
    if raw:
        yield note_at("raw_network", node, evidence=min(raw))
    elif public is not None:
        yield note_at("raw_network", node, evidence=public)
    else:
        yield note_at("network_use", node, evidence=called)


def _descriptor_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    numbers = resolver.integers(node.args[0]) if node.args else frozenset[int]()
    if foreign := sorted(number for number in numbers if number > 2):
        yield note_at("foreign_descriptor", node, evidence=str(foreign[0]))


def _pickle_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    if not node.args:
        return
    if is_made_from_answers(node.args[0], resolver):
        yield note_at("answer_as_code", node)
    elif _is_decoded(node.args[0], resolver):
        yield note_at("unpickles_literal", node)
    else:
        yield note_at("unpickles", node)


def _is_decoded(node: ast.expr, resolver: Resolver) -> bool:
    """Whether a value comes from the script's own text, or from what was hidden in some text."""
    if isinstance(resolver.folder.fold(node), bytes):
        return True
    parts = list(reached_from(node, resolver))
    written = (part.value for part in parts if isinstance(part, ast.Constant))
    if any(isinstance(each, str) and len(each) >= MIN_ENCODED and as_code(each) is None for each in written) and any(
        isinstance(part, ast.Call) and resolver.meanings(part.func) & DECODERS.keys() for part in parts
    ):
        return True
    pickled = any(isinstance(part, ast.Call) and callee(part.func) in {"dumps", "dump"} for part in parts)
    return not pickled and any(isinstance(part, ast.Constant) and isinstance(part.value, bytes) for part in parts)


def _array_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`numpy.load(file, allow_pickle=True)`, `torch.load(file, weights_only=False)`: unpickling by another name."""
    asked = {each.arg: each.value for each in node.keywords}
    allowed = asked.get("allow_pickle")
    if (isinstance(allowed, ast.Constant) and allowed.value is True) or "weights_only" in asked:
        yield from _pickle_notes(node, resolver)


def run_texts(node: ast.Call, resolver: Resolver) -> Iterator[str]:
    """Texts that a call would run as code."""
    if resolver.meanings(node.func) & TEXT_RUNNERS:
        named = [each.value for each in node.keywords if each.arg in {"stmt", "setup", "statement"}]
        texts = list(_texts([*node.args[:2], *named], resolver))
        yield from texts
        if len(texts) > 1:
            yield "\n".join(reversed(texts))  # `timeit(statement, setup)`


def _runner_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    if any(is_made_from_answers(argument, resolver) for argument in node.args[:2]):
        yield note_at("answer_as_code", node)
    for text in run_texts(node, resolver):
        if as_code(text) is not None:
            yield note_at("text_as_code", node, evidence=text)


def _object_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    if node.args and is_made_from_answers(node.args[0], resolver):
        yield note_at("answer_as_code", node)
    parts = (part.value for argument in node.args for part in within(argument) if isinstance(part, ast.Constant))
    texts = [*_texts(node.args, resolver), *(part for part in parts if isinstance(part, str))]
    for text in texts:
        if any(tag in text for tag in OBJECT_TAGS):
            yield note_at("unpickles_literal", node, evidence=text)
            return


def handed_on_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`reduce(getattr, ["__class__", "__base__"], 0)`: the builtin is handed on together with the names."""
    if any("builtins.getattr" in resolver.meanings(argument) for argument in node.args):
        for argument in node.args:
            for text in _texts([argument], resolver):
                if any(part in ATTRIBUTES or part in CLIMBING for part in text.split(".")):
                    yield note_at("hidden_introspection", node, evidence=text)
                    return


def mutation_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`vars(builtins).update(...)`, `sys.modules.update(...)`, `sys.meta_path.insert(...)`."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _MUTATORS:
        return
    owners = resolver.meanings(node.func.value)
    if owners & {"sys.modules", *(f"{module}.__dict__" for module in PATCHED_MODULES)} and node.func.attr in _REPLACERS:
        yield note_at("forges_harness", node, evidence=min(owners))
    elif owners & {"sys.meta_path", "sys.path_hooks"}:
        yield note_at("hooks_imports", node, evidence=min(owners))


def _loader_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    for text in _texts(node.args[1:], resolver):
        if text.startswith("/"):
            yield note_at("loads_foreign_code", node, evidence=text)


def _link_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    for text in _texts(node.args[:1], resolver):
        if text.startswith(("/etc", "/proc", "/root", "/home", "/var", "/sys", "/dev")):
            yield note_at("links_system_file", node, evidence=text)


def _builder_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    yield note_at("constructs_code", node, evidence=min(resolver.meanings(node.func) & CODE_BUILDERS))


def _getter_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    yield from _dangerous_texts(node.args, resolver)


def _credential_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    for text in _texts(node.args[:1], resolver):
        if CREDENTIAL_VARIABLE.search(text):
            yield note_at("reads_credentials", node, evidence=text)


def _dangerous_texts(arguments: list[ast.expr], resolver: Resolver) -> Iterator[Note]:
    dangerous = {name for names in MODULE_NAMES.values() for name in names} - {"get", "open", "run", "call", "trace"}
    for argument in arguments:
        text = resolver.folder.text(argument) or ""
        for part in text.split("."):
            if part in ATTRIBUTES or part in CLIMBING or (part in dangerous and argument is arguments[0]):
                yield note_at("hidden_introspection", argument, evidence=text)
                return


def _format_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    assert isinstance(node.func, ast.Attribute)
    template = resolver.folder.text(node.func.value) or next(_texts(node.args[:1], resolver), "")
    fields = [template] if node.func.attr == "get_field" else FORMAT_FIELD.findall(template)
    for field in fields:
        if any(name in field for name in (*ATTRIBUTES, *CLIMBING) if name.startswith("_")):
            yield note_at("format_leak", node, evidence=field)
            return


def _texts(nodes: list[ast.expr], resolver: Resolver, *, follow: bool = True) -> Iterator[str]:
    """The texts among some arguments, those of tuples, path divisions and nested path calls included.

    `follow` one name to the sum that it stands for.
    """
    for node in nodes:
        known = resolver.texts(node)
        yield from sorted(filter(None, known))
        if None not in known:
            continue
        if isinstance(node, ast.Name):
            source = resolver.bindings.value_of(node) if follow else None
            if source is not None:
                yield from _texts(_pieces(source, resolver), resolver, follow=False)
        else:
            yield from _texts(_pieces(node, resolver), resolver, follow=follow)


def _pieces(node: ast.expr, resolver: Resolver) -> list[ast.expr]:
    """The parts of an expression that is not known as a whole."""
    match node:
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.JoinedStr(values=parts):
            return parts
        case ast.BinOp(left=left, op=ast.Div() | ast.Add() | ast.Mod(), right=right):
            return [left, right]
        case ast.Call(args=arguments) if resolver.meanings(node.func) & FILE_CALLS:
            return arguments
        case _:
            return []


def _is_type_of_function(node: ast.Call) -> bool:
    is_type = isinstance(node.func, ast.Name) and node.func.id == "type" and len(node.args) == 1
    return is_type and isinstance(node.args[0], ast.Lambda)


def _is_written(node: ast.expr, text: str) -> bool:
    return any(isinstance(part, ast.Constant) and part.value == text for part in within(node))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _interpreter_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """Answers that are handed to a child process, by whatever argument."""
    if any(is_made_from_answers(each, resolver) for each in (*node.args, *(each.value for each in node.keywords))):
        yield note_at("answer_as_code", node)


def _path_entry_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`sys.path.insert(0, "/tmp")`: whoever writes there decides what an import means."""
    for text in _texts(node.args[-1:], resolver):
        if text.startswith(("/tmp", "/var/tmp", "/dev/shm", "/home", "/root")):  # noqa: S108
            yield note_at("loads_foreign_code", node, evidence=text)


_BY_NAME: tuple[tuple[frozenset[str], Callable[[ast.Call, Resolver], Iterator[Note]]], ...] = (
    (IMPORTERS, _import_notes),
    (FILE_CALLS, _file_notes),
    (DESCRIPTOR_CALLS, _descriptor_notes),
    (NETWORK_CALLS, _network_notes),
    (UNPICKLERS, _pickle_notes),
    (TEXT_RUNNERS, _runner_notes),
    (CODE_BUILDERS, _builder_notes),
    (ATTRIBUTE_GETTERS, _getter_notes),
    (ENVIRONMENT_READERS, _credential_notes),
    (OBJECT_LOADERS, _object_notes),
    (frozenset({"importlib.util.spec_from_file_location", "importlib.machinery.SourceFileLoader"}), _loader_notes),
    (frozenset({"os.symlink", "os.link"}), _link_notes),
    (frozenset({"numpy.load", "torch.load"}), _array_notes),
    (frozenset({"signal.signal"}), signal_notes),
    (frozenset({"resource.setrlimit"}), limit_notes),
    (frozenset({"sys.path.insert", "sys.path.append", "site.addsitedir"}), _path_entry_notes),
    (INTERPRETERS, _interpreter_notes),
    (TEMPLATE_RUNNERS, _interpreter_notes),
)
