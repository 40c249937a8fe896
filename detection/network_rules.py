"""Rules about calls that speak to a network, or listen. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from detection.arguments import argument_texts
from detection.network_addresses import is_public_address, names_metadata_service
from detection.notes import Note, note_at
from detection.resolving import Resolver
from detection.sensitive_paths import is_container_engine
from detection.static_tables import NETWORK_CALLS, RAW_NETWORK_CALLS


def network_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """What a call to a client or server means by what it is given."""
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    texts = [
        *argument_texts(arguments, resolver),
        *(str(number) for each in arguments for number in resolver.integers(each)),
    ]
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
