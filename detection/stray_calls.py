"""Calls that say what they do, whatever object they are made on and wherever it came from. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from detection.notes import Note, note_at
from detection.resolving import Resolver

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
    **dict.fromkeys(("runsource", "runcode", "runeval", "loadTestsFromName"), "hidden_dynamic_code"),
    **dict.fromkeys(("interact", "set_trace"), "debugger"),
}
"""Names of methods that no honest object has."""
_SHELL_KEYWORDS = frozenset({"preexec_fn", "start_new_session", "creationflags", "pass_fds", "restore_signals"})


def stray_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """What the name of a method, or of an argument, tells where nothing else is known."""
    for keyword in node.keywords:
        told = keyword.arg in _SHELL_KEYWORDS or (keyword.arg == "shell" and _is_true(keyword.value))
        if told and not _is_defined(node.func, resolver):
            yield note_at("hidden_process", node, evidence=f"{keyword.arg}=")
    if not isinstance(node.func, ast.Attribute):
        return
    rule = _METHODS.get(node.func.attr)
    if rule is None or _is_defined(node.func, resolver) or resolver.is_import(node.func):
        return
    yield note_at(rule, node, evidence=f".{node.func.attr}")


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and bool(node.value)


def _is_defined(function: ast.expr, resolver: Resolver) -> bool:
    """Whether the script has a function of that name."""
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    return resolver.sources.defines(name)
