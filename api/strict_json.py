"""How request bodies are read: JSON in the narrow sense, bounded in every direction."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import JsonValue

from api.authentication import authenticate
from api.problems import Problem
from api.services import services_of

MAX_DEPTH = 32
"""Of lists and objects in one another. A submission needs three, params a few more."""
MAX_VALUES = 50_000
"""In one body. Params of 64 KiB hold 32,000 at most; a megabyte of them would hold up everybody's requests."""
MAX_INTEGER = 2**63 - 1
_CONTENT_TYPE = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)


class StrictRequest(Request):
    """A request whose JSON is read by `parse_json`."""

    async def json(self) -> Any:
        """The body. Raises Problem."""
        return parse_json(await self.body())


class StrictRoute(APIRoute):
    """A route that takes JSON alone, and reads it strictly: of those who have a key, and of nobody else."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Hand a StrictRequest to FastAPI's own handler."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            await authenticate(strict, await services_of(strict))  # the framework would read the body first
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
    round, NUL, half a surrogate pair, or more values or nesting than anybody needs.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(400, "invalid_utf8", "The body is not UTF-8.") from None
    values = _Values()
    try:
        value = json.loads(
            text,
            object_pairs_hook=values.object,
            parse_constant=_no_constant,
            parse_int=values.integer,
            parse_float=values.number,
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # a JSONDecodeError says where, and never what
        where = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        raise Problem(400, "invalid_json", f"The body is not JSON{where}.") from None
    _check_bounds(value)
    return value


class _Values:
    """Makes the values of one text, as many as there may be."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def object(self, pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        self._count()
        made = dict(pairs)
        if len(made) != len(pairs):
            raise Problem(400, "duplicate_key", "An object has the same key twice: readers would disagree about it.")
        return made

    def integer(self, digits: str) -> int:
        self._count()
        if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
            raise Problem(400, "invalid_number", "An integer does not fit into 64 bits.")
        return int(digits)

    def number(self, digits: str) -> float:
        self._count()
        value = float(digits)
        if value in {float("inf"), float("-inf")}:
            raise Problem(400, "invalid_number", "A number is too large for a double.")
        return value

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _too_many()


def _check_bounds(value: JsonValue) -> None:
    waiting: list[tuple[JsonValue, int]] = [(value, 1)]
    left = MAX_VALUES
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, str):
            _check_text(part)
        elif isinstance(part, dict | list):
            if depth > MAX_DEPTH:
                raise _too_deep()
            left -= len(part)
            if left < 0:
                raise _too_many()
            inner = [*part.keys(), *part.values()] if isinstance(part, dict) else part
            waiting += [(each, depth + 1) for each in inner]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Problem(400, "nul_character", "A text contains NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Problem(400, "lone_surrogate", "A text contains half a surrogate pair.") from None


def _no_constant(name: str) -> float:
    raise Problem(400, "invalid_number", f"{name} is not a JSON number.")


def _too_deep() -> Problem:
    return Problem(400, "too_deep", f"Lists and objects nest more than {MAX_DEPTH} deep.")


def _too_many() -> Problem:
    return Problem(400, "too_many_values", f"The body holds more than {MAX_VALUES} values.")
