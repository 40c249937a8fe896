"""How request bodies are read: JSON in the narrow sense, bounded in every direction."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import JsonValue

from api.problems import Problem

MAX_DEPTH = 32
"""Of lists and objects in one another. A submission needs three, params a few more."""
MAX_INTEGER = 2**63 - 1
_CONTENT_TYPE = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)


class StrictRequest(Request):
    """A request whose JSON is read by `parse_json`."""

    async def json(self) -> Any:
        """The body. Raises Problem."""
        return parse_json(await self.body())


class StrictRoute(APIRoute):
    """A route that takes JSON alone, and reads it strictly."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Hand a StrictRequest to FastAPI's own handler."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            if takes_body:
                await _require_json(strict)
            return await handle(strict)

        return handle_strictly


async def _require_json(request: Request) -> None:
    """Refuse what is not JSON by its own words. Where a body is optional, none needs no type."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported_media_type", "Send the body without a Content-Encoding.")
    declared = request.headers.get("content-type")
    if declared is None and not await request.body():
        return
    if declared is None or _CONTENT_TYPE.fullmatch(declared.strip()) is None:
        raise Problem(415, "unsupported_media_type", "Send application/json, in UTF-8.")


def parse_json(body: bytes) -> JsonValue:
    """The value of a JSON text.

    Raises Problem: not UTF-8, not JSON, a key that is there twice, NaN or an infinity, numbers that others would
    round, NUL, half a surrogate pair, or nesting that nobody needs.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(400, "invalid_utf8", "The body is not UTF-8.") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # a JSONDecodeError says where, and never what
        where = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        raise Problem(400, "invalid_json", f"The body is not JSON{where}.") from None
    _check_bounds(value)
    return value


def _check_bounds(value: JsonValue) -> None:
    waiting: list[tuple[JsonValue, int]] = [(value, 1)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, str):
            _check_text(part)
        elif isinstance(part, dict | list):
            if depth > MAX_DEPTH:
                raise _too_deep()
            inner = [*part.keys(), *part.values()] if isinstance(part, dict) else part
            waiting += [(each, depth + 1) for each in inner]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Problem(400, "nul_character", "A text contains NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Problem(400, "lone_surrogate", "A text contains half a surrogate pair.") from None


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Problem(400, "duplicate_key", "An object has the same key twice: readers would disagree about it.")
    return made


def _no_constant(name: str) -> float:
    raise Problem(400, "invalid_number", f"{name} is not a JSON number.")


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
        raise Problem(400, "invalid_number", "An integer does not fit into 64 bits.")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        raise Problem(400, "invalid_number", "A number is too large for a double.")
    return value


def _too_deep() -> Problem:
    return Problem(400, "too_deep", f"Lists and objects nest more than {MAX_DEPTH} deep.")
