"""Rules about where values go: to the network, into prompts, into the names of files. Standard library only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from detection.arguments import argument_texts
from detection.network_addresses import is_collector, is_model_service, names_metadata_service
from detection.notes import Note, note_at
from detection.origins import origin
from detection.reaching import asks_model
from detection.resolving import Resolver
from detection.sources import callee
from detection.static_tables import CREDENTIAL_VARIABLE, NETWORK_CALLS
from detection.templates import template

_OF_MACHINE = frozenset({"answers", "machine", "source", "environment"})
_OTHERS_DATA = _OF_MACHINE | {"files", "listing", "library", "work directory"}
"""What a body or a parameter may be made from; an address is often kept in a file."""
_SENDING = frozenset(
    {"post", "put", "patch", "request", "request_encode_body", "request_encode_url", "upload", "fetch"}
)
_CARRIERS = frozenset({"data", "json", "files", "content", "body", "fields", "payload"})
_HEADERS = frozenset({"headers", "auth", "cookies", "timeout", "context", "verify"})
_URL = re.compile(r"^(?:https?|ftp|wss?|gopher|tftp|ldap|smb|s3|gs|gcs|abfs|hf)s?://", re.IGNORECASE)
_NUMBERED = re.compile(r"^\w+://\d+\.\d+\.\d+\.\d+(?:[:/]|$)")
_FETCHING = frozenset({"genfromtxt", "loadtxt", "fromregex", "parse", "iterparse", "DataSource", "imread", "open"})
_FETCHED = ("read_", "to_", "load_", "save_")
"""Functions of libraries that take an address for a file."""
_ROOTS = re.compile(r"^(?:\.{1,2}/?|/.*|~.*)$")


def network_flow_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """What a call hands to the network, whatever library it belongs to."""
    known = resolver.meanings(node.func) & NETWORK_CALLS
    if not known and not _seems_to_send(node) and not _seems_to_fetch(node, resolver):
        return
    urls = [text for text in _texts(node, resolver) if _URL.match(text)]
    if not known and not urls:
        return
    for url in urls:
        if names_metadata_service(url):
            yield note_at("metadata_service", node, evidence=url)
        elif is_collector(url):
            yield note_at("sends_data", node, evidence=url)
    if not known and _seems_to_send(node):
        yield note_at("network_use", node, evidence=urls[0])
    if not known and not _seems_to_send(node) and any(map(_NUMBERED.match, urls)):
        yield note_at("raw_network", node, evidence=urls[0])
    to_model_service = bool(urls) and all(map(is_model_service, urls))
    taken = "" if to_model_service else _taken(node, resolver, sending=bool(known) or _seems_to_send(node))
    if taken:
        yield note_at("sends_data", node, evidence=taken)
    elif urls and not to_model_service and _carries_unknown(node, resolver):
        yield note_at("sends_data", node, evidence=urls[0])


def prompt_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """What the model is told about the machine, the platform or the script's surroundings."""
    if not asks_model(node, resolver):
        return
    for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
        made_of = origin(argument, resolver)
        told = made_of.kinds & {"machine", "source", "library"}
        if "listing" in made_of.kinds and any(_ROOTS.match(text) for text in made_of.texts):
            told |= {"listing"}
        if "environment" in made_of.kinds and any(map(CREDENTIAL_VARIABLE.search, made_of.texts)):
            told |= {"environment"}
        if told:
            yield note_at("tells_model", node, evidence=", ".join(sorted(told)))
            return


def _texts(node: ast.Call, resolver: Resolver) -> list[str]:
    several = (*node.args, *(keyword.value for keyword in node.keywords))
    return [text for each in several for text in (*origin(each, resolver).texts, resolver.folder.text(each) or "")]


def _seems_to_send(node: ast.Call) -> bool:
    """A method such as `post`, or an argument such as `json=`."""
    named = isinstance(node.func, ast.Attribute) and node.func.attr in _SENDING
    return named or any(keyword.arg in _CARRIERS for keyword in node.keywords)


def _seems_to_fetch(node: ast.Call, resolver: Resolver) -> bool:
    """`pandas.read_json(address)`, `xml.sax.parse(address, handler)`."""
    name = callee(node.func)
    if not node.args or resolver.sources.defines(name):
        return False
    names = (meaning.rpartition(".")[2] for meaning in resolver.meanings(node.func))
    if not _fetches(name) and not any(map(_fetches, names)):
        return False
    addresses = (template(node.args[0], resolver), *argument_texts(node.args[:1], resolver))
    return any(map(_URL.match, addresses))


def _fetches(name: str) -> bool:
    return name in _FETCHING or name.startswith(_FETCHED)


def _taken(node: ast.Call, resolver: Resolver, *, sending: bool) -> str:
    """What of others' is in the arguments."""
    sending = sending and _is_sending(node)
    told = [*node.args, *(each.value for each in node.keywords if each.arg not in _HEADERS)]
    if callee(node.func).startswith("to_") and isinstance(node.func, ast.Attribute):
        told.append(node.func.value)  # `frame.to_csv(address)`
    for argument in told:
        kinds = origin(argument, resolver).kinds & (_OTHERS_DATA if sending else _OF_MACHINE)
        if kinds:
            return ", ".join(sorted(kinds))
    return ""


def _is_sending(node: ast.Call) -> bool:
    named = isinstance(node.func, ast.Attribute) and node.func.attr in _SENDING
    return named or len(node.args) > 1 or any(keyword.arg in _CARRIERS | {"params"} for keyword in node.keywords)


def _carries_unknown(node: ast.Call, resolver: Resolver) -> bool:
    """A body that is not written in the script."""
    bodies = [each.value for each in node.keywords if each.arg in _CARRIERS]
    if isinstance(node.func, ast.Attribute) and node.func.attr in _SENDING:
        bodies += node.args[1:2]
    return any(resolver.folder.fold(body) is None for body in bodies if not isinstance(body, ast.Constant))
