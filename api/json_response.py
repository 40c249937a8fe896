"""JSON as it goes out: in ASCII, so that no text of a script, half a surrogate pair included, can break an answer."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse


class AsciiJson(JSONResponse):
    """A JSON answer."""

    def render(self, content: Any) -> bytes:
        """The bytes of it."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
