"""Every way in which a request fails, as problem+json (RFC 9457): the one table from errors to answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import JsonValue
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from api.json_response import AsciiJson
from domain.errors import PlatformError, RecordMissing, StorageUnavailable, WorkflowsUnavailable
from domain.limits import MODEL_LIMITS, RUN_LIMITS, LimitExceeded
from storage.records import BadCursor, IdempotencyConflict

MAX_ERRORS = 20
"""Of one request: more say nothing more."""
MAX_TEXT = 300
RETRY_AFTER_SECONDS = 5
"""What a client is asked to wait while Temporal or the database is away."""
_AWAY = (StorageUnavailable, WorkflowsUnavailable)
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_DETAILS = {404: "There is nothing at this path.", 405: "This path is not served by this method: see Allow."}

log = structlog.get_logger()


class Problem(HTTPException):
    """A request cannot be served. An HTTPException, because FastAPI lets those out of the reading of a body."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, JsonValue]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail[: 2 * MAX_TEXT], dict(headers or {}))
        self.code = code
        self.errors = [dict(error) for error in errors[:MAX_ERRORS]]


def too_many(detail: str, retry_after: int, code: str = "too_many_requests") -> Problem:
    """A problem 429."""
    return Problem(429, code, detail, headers={"Retry-After": str(max(1, retry_after))})


def not_found() -> Problem:
    """What is unknown and what is foreign look the same."""
    return Problem(404, "not_found", "There is no such evaluation.")


def problem_response(status: int, code: str, detail: str, request_id: str, problem: Problem | None = None) -> AsciiJson:
    """The answer that tells of a problem."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if problem is not None and problem.errors:
        body["errors"] = problem.errors
    headers = dict(problem.headers or {}) if problem is not None else {}
    return AsciiJson(body, status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Answer every error that the routes of `app` raise, the framework's own too."""
    kinds = (HTTPException, RequestValidationError, WebSocketRequestValidationError)
    for kind in (*kinds, PlatformError, LimitExceeded, BadCursor, IdempotencyConflict):
        app.add_exception_handler(kind, _answer)
    app.router.default = _nowhere


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an ASGI app
    """What the paths that nobody serves are. The framework's own tells a WebSocket nothing."""
    raise HTTPException(404)


async def _answer(connection: HTTPConnection, error: Exception) -> AsciiJson:
    """The answer to a request, or to the handshake of a WebSocket: there Starlette sends it as a denial."""
    problem = problem_of(error)
    if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        problem.headers = {"Allow": ", ".join(_methods_at(connection)) or "GET"}  # the documentation's own pages
    request_id = str(connection.scope.get("airlock.request_id", ""))
    return problem_response(problem.status_code, problem.code, problem.detail, request_id, problem)


def _methods_at(connection: HTTPConnection) -> list[str]:
    """Every method that a path has. The framework tells only those of the first route with that path."""
    pattern = getattr(connection.scope.get("route"), "path", "")
    return sorted(method.upper() for method in connection.app.openapi()["paths"].get(pattern, {}))


def problem_of(error: Exception) -> Problem:
    """What a client is told of an error."""
    match error:
        case Problem():
            return error
        case RequestValidationError() | WebSocketRequestValidationError():
            return _invalid(cast("Sequence[Mapping[str, Any]]", error.errors()))
        case HTTPException():
            code = _CODES.get(error.status_code, "bad_request" if error.status_code < 500 else "internal_error")
            detail = _DETAILS.get(error.status_code, str(error.detail))
            return Problem(error.status_code, code, detail, headers=error.headers)
        case LimitExceeded():
            place: list[JsonValue] = ["body", "config", *_section(error.name), error.name]
            told: dict[str, JsonValue] = {"loc": place, "message": str(error), "maximum": error.maximum}
            return Problem(400, "limit_exceeded", f"{error}.", errors=[told])
        case BadCursor():
            return Problem(400, "bad_cursor", "This is no cursor of this list.")
        case IdempotencyConflict():
            return Problem(409, "idempotency_conflict", "This Idempotency-Key was used for another request.")
        case RecordMissing():
            return not_found()
        case _:
            return _failure(error)


def _section(limit: str) -> list[JsonValue]:
    """Below which key of `config` a limit is asked for."""
    return ["limits"] if limit in RUN_LIMITS else ["model"] if limit in MODEL_LIMITS else []


def _failure(error: Exception) -> Problem:
    """We failed. Of the database's or Temporal's words none goes out."""
    if isinstance(error, _AWAY):
        log.warning("part_away", code=error.code, evidence=error.evidence)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return Problem(503, error.code, f"Nothing was done: {error.message}. Try again later.", headers=headers)
    log.error("platform_error", error=type(error).__name__, code=getattr(error, "code", ""))
    return Problem(500, "internal_error", "The platform failed. The request_id finds what happened in its logs.")


def _invalid(found: Sequence[Mapping[str, Any]]) -> Problem:
    errors = [_one_error(each) for each in found[:MAX_ERRORS]]
    steps = cast("list[JsonValue]", errors[0]["loc"])
    place = ".".join(str(step) for step in steps[1:] or steps)
    return Problem(400, "invalid_request", f"{place}: {errors[0]['message']}"[:MAX_TEXT], errors=errors)


def _one_error(error: Mapping[str, Any]) -> dict[str, JsonValue]:
    steps: list[JsonValue] = [step if isinstance(step, int) else str(step)[:100] for step in error["loc"]]
    message = str(error["msg"]).removeprefix("Value error, ")[:MAX_TEXT]  # how pydantic introduces words of ours
    return {"loc": steps[:10], "message": message, "type": str(error["type"])}
