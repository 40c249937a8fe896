"""Rules about single environment variables: those that steer other programs, and those of the platform.

Standard library only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from detection.arguments import argument_texts
from detection.notes import Note, note_at
from detection.resolving import Resolver

_STEERING = re.compile(
    r"""
    ^(?:LD_|DYLD_|GCONV_PATH|MALLOC_)                                                     # the loader
    | ^(?:PATH|BASH_ENV|ENV|IFS|PS4|PROMPT_COMMAND|SHELL|COMSPEC)$                          # shells
    | ^(?:BROWSER|PAGER|MANPAGER|EDITOR|VISUAL|LESSOPEN|GIT_[A-Z_]*|SSH_ASKPASS|SUDO_ASKPASS)$
    | ^PYTHON(?:PATH|STARTUP|HOME|INSPECT|BREAKPOINT|USERBASE|EXECUTABLE|PLATLIBDIR|WARNINGS|CASEOK|PYCACHEPREFIX)$
    | ^(?:HTTPS?|ALL|FTP|NO)_PROXY$ | ^(?:https?|all|ftp|no)_proxy$
    | ^(?:SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|OPENSSL_CONF|KUBECONFIG|DOCKER_HOST|PIP_[A-Z_]+)$
    | ^(?:NODE_OPTIONS|PERL5OPT|PERL5LIB|RUBYOPT|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS)$
    """,
    re.VERBOSE,
)
_PLATFORM = re.compile(r"^AIRLOCK_|^TEMPORAL_|^KUBERNETES_(?:SERVICE|PORT)|^(?:KUBECONFIG|SSH_AUTH_SOCK|DOCKER_HOST)$")


def written_notes(target: ast.expr, resolver: Resolver) -> Iterator[Note]:
    """`os.environ["BROWSER"] = ...`."""
    if isinstance(target, ast.Subscript) and _is_environment(target.value, resolver):
        yield from _steering_notes([target.slice], target, resolver)


def variable_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`os.putenv(...)`, `os.environ.update(...)`, `os.getenv("AIRLOCK_...")`."""
    called = resolver.meanings(node.func)
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    owned = isinstance(node.func, ast.Attribute) and _is_environment(node.func.value, resolver)
    if "os.putenv" in called or (owned and method in {"setdefault", "__setitem__"}):
        yield from _steering_notes(node.args[:1], node, resolver)
    elif owned and method == "update":
        keys = [key for each in node.args if isinstance(each, ast.Dict) for key in each.keys if key is not None]
        yield from _steering_notes(keys, node, resolver)
        for keyword in node.keywords:
            if keyword.arg is not None and _STEERING.search(keyword.arg):
                yield note_at("steers_programs", node, evidence=keyword.arg)
    if called & {"os.getenv", "os.environ.get"}:
        yield from _platform_notes(node.args[:1], node, resolver)


def read_notes(node: ast.Subscript, resolver: Resolver) -> Iterator[Note]:
    """`os.environ["AIRLOCK_RUN"]`."""
    if isinstance(node.ctx, ast.Load) and _is_environment(node.value, resolver):
        yield from _platform_notes([node.slice], node, resolver)


def _is_environment(node: ast.expr, resolver: Resolver) -> bool:
    return bool(resolver.meanings(node) & {"os.environ", "os.environb"})


def _steering_notes(names: list[ast.expr], node: ast.expr, resolver: Resolver) -> Iterator[Note]:
    for text in argument_texts(names, resolver):
        if _STEERING.search(text):
            yield note_at("steers_programs", node, evidence=text)
            return


def _platform_notes(names: list[ast.expr], node: ast.expr, resolver: Resolver) -> Iterator[Note]:
    for text in argument_texts(names, resolver):
        if _PLATFORM.search(text):
            yield note_at("looks_for_platform", node, evidence=text)
            return
