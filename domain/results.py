"""The one form in which a result is digested and stored."""

from __future__ import annotations

import json

from pydantic import JsonValue


def canonical_json(value: JsonValue) -> bytes:
    """JSON with sorted keys, no spaces and ASCII alone: equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
