"""Calls that say what they do, whatever object they are made on and wherever it came from. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from detection.names import MODULE_NAMES
from detection.node_kinds import NAMES_AND_MEMBERS
from detection.notes import Note, note_at
from detection.resolving import Resolver
from detection.word_lists import words

_EXECS = tuple(f"{how}{kind}" for how in ("exec", "spawn") for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe"))
_METHODS: Mapping[str, str] = {
    **dict.fromkeys(_EXECS, "hidden_process"),
    **dict.fromkeys(("popen", "Popen", "check_output", "check_call", "getoutput", "getstatusoutput"), "hidden_process"),
    **dict.fromkeys(("posix_spawn", "posix_spawnp", "forkpty", "killpg", "fork_exec"), "hidden_process"),
    **dict.fromkeys(("subprocess_exec", "subprocess_shell", "create_subprocess_exec"), "hidden_process"),
    **dict.fromkeys(("create_subprocess_shell", "spawnv_passfds", "run_shell"), "hidden_process"),
    **dict.fromkeys(("create_datagram_endpoint", "create_unix_connection", "create_unix_server"), "raw_network"),
    **dict.fromkeys(("sock_connect", "sock_sendall", "sock_sendto", "connect_ex", "wrap_socket"), "raw_network"),
    **dict.fromkeys(("open_unix_connection", "create_connection", "sendto", "recvfrom", "sendmsg"), "raw_network"),
    **dict.fromkeys(("getaddrinfo", "getnameinfo", "gethostbyname_ex", "storbinary", "sendmail"), "raw_network"),
    **dict.fromkeys(("start_tls", "invoke_shell", "exec_command", "open_sftp"), "raw_network"),
    **dict.fromkeys(("create_dynamic", "load_dynamic", "load_source", "run_module", "run_path"), "hidden_dynamic_code"),
    **dict.fromkeys(
        ("runsource", "runcode", "runeval", "loadTestsFromName", "loadTestsFromNames", "_get_module_from_name"),
        "hidden_dynamic_code",
    ),
    **dict.fromkeys(("interact", "set_trace"), "debugger"),
}
"""Names of methods that no honest object has."""
_WITH_PRIVATE = words("""
    abc ast builtins cProfile codecs concurrent copyreg dataclasses doctest encodings enum gettext importlib inspect
    multiprocessing optparse os pickle pkgutil platform posix profile pydoc shutil site subprocess sys sysconfig
    tempfile threading timeit trace types typing unittest warnings weakref xml
""")
"""Modules that make code, import, or start something, somewhere behind their public functions."""
_SHELL_KEYWORDS = frozenset({"preexec_fn", "start_new_session", "creationflags", "pass_fds", "restore_signals"})


def stray_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """What the name of a method, or of an argument, tells where nothing else is known."""
    for keyword in node.keywords:
        told = keyword.arg in _SHELL_KEYWORDS or (keyword.arg == "shell" and _is_true(keyword.value))
        if told and not _is_defined(node.func, resolver):
            yield note_at("hidden_process", node, evidence=f"{keyword.arg}=")
    yield from _private_notes(node, resolver)
    name = _method(node.func)
    rule = _METHODS.get(name)
    if rule is None or resolver.sources.defines(name) or _is_judged(node.func, resolver):
        return
    yield note_at(rule, node, evidence=f".{name}")


def _private_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`typing._type_check(text, "x")`: nobody has looked at what it does with its arguments."""
    public = isinstance(node.func, ast.Attribute) and not node.func.attr.startswith("_")
    if public or not node.args or not isinstance(node.func, NAMES_AND_MEMBERS):
        return
    for written in resolver.imported_names(node.func):
        module, _, name = written.rpartition(".")
        private = name.startswith("_") and not name.startswith("__")
        if private and module.partition(".")[0] in _WITH_PRIVATE and name not in MODULE_NAMES.get(module, {}):
            yield note_at("private_function", node, evidence=written)
            return


def _method(function: ast.expr) -> str:
    """The name of a method, that of `getattr(loop, "create_connection")` too."""
    match function:
        case ast.Attribute(attr=name):
            return name
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str() as name), *_]):
            return name
        case _:
            return ""


def _is_judged(function: ast.expr, resolver: Resolver) -> bool:
    """Whether a table of names knows what is called."""
    return any(meaning.rpartition(".")[0] in MODULE_NAMES for meaning in resolver.meanings(function))


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and bool(node.value)


def _is_defined(function: ast.expr, resolver: Resolver) -> bool:
    """Whether the script has a function of that name."""
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    return resolver.sources.defines(name)
