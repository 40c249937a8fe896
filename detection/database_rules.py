"""Rules about SQL that leaves its database: other files, extensions, exports. Standard library only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from detection.notes import Note, note_at
from detection.resolving import Resolver
from detection.templates import template

MAX_STATEMENT = 20_000
_METHODS = frozenset({"execute", "executescript", "executemany"})
_ESCAPES = re.compile(
    r"\battach\s+(?:database\s+)?(?!\s*['\"](?::memory:)?['\"])[^\s;]"
    r"|\bvacuum\s+(?:\w+\s+)?into\b|\bload_extension\s*\(|\b(?:readfile|writefile|edit|fts3_tokenizer)\s*\("
    r"|\bcopy\s+[^;]{0,200}\b(?:from|to)\s+program\b|\bpg_read_file\s*\(|\binto\s+outfile\b|\bload_file\s*\(|\bxp_cmdshell\b",
    re.IGNORECASE,
)


def database_notes(node: ast.Call, resolver: Resolver) -> Iterator[Note]:
    """`db.execute("ATTACH '/var/lib/x.db' AS x")`."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _METHODS or not node.args:
        return
    texts = sorted(filter(None, resolver.texts(node.args[0]))) or [template(node.args[0], resolver)]
    for text in texts:
        found = _ESCAPES.search(text[:MAX_STATEMENT])
        if found is not None:
            yield note_at("leaves_database", node, evidence=found.group())
            return
