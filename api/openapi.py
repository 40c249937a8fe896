"""The description of the HTTP interface, made true: 400 instead of FastAPI's 422."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.schemas import ProblemAnswer

DESCRIPTION = (
    "Takes untrusted evaluation scripts and gives back evidence. Every error is problem+json (RFC 9457) with a `code`."
)


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an app."""
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    for path in cast("dict[str, dict[str, Any]]", document["paths"]).values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemAnswer"] = ProblemAnswer.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document
