"""The description of the HTTP interface, made true: 400 instead of FastAPI's 422."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.schemas import ProblemAnswer

DESCRIPTION = """\
Takes untrusted evaluation scripts and gives back evidence: what was found in a script, what it tried, in which
isolation it ran, how it ended, and what it claims as its result.

1. **Authorize** with a key (`airlock up` writes one to `.airlock/env`).
2. `POST /api/v1/evaluations` answers 202 with an `evaluation_id`, the limits in force and links to everything below.
3. Follow it by `/status`, or live by `/events` (Server-Sent Events). `/ws` sends the same over WebSocket, which this
   page cannot show.
4. `/stop` ends it at any moment; with `?wait=10` the answer comes when every process is dead.

Every error is problem+json (RFC 9457): a `code` for programs, a `detail` for people, a `request_id` for the logs.
"""

TAGS = {
    "evaluations": "Submit scripts, and read what has become of them.",
    "streams": "The same as it happens.",
    "orders": "Intervene: stop, decide about what is suspicious, retry, delete.",
    "output": "What a script has printed, and what it has asked its model.",
    "installation": "What may be asked for here.",
    "health": "For load balancers; no key is needed.",
}
"""What the groups of routes are for, in the order in which a reader meets them."""


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an app."""
    tags = [{"name": name, "description": told} for name, told in TAGS.items()]
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=tags)
    for path in cast("dict[str, dict[str, Any]]", document["paths"]).values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemAnswer"] = ProblemAnswer.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document
