"""How request bodies are read: JSON in the narrow sense, bounded in every direction."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import JsonValue

from api.authentication import authenticate
from api.problems import MAX_TEXT, Problem
from api.services import services_of
from domain.limits import MAX_REQUEST_BYTES

MAX_DEPTH = 32
"""Of lists and objects in one another. A submission needs three, params a few more."""
MAX_VALUES = 50_000
"""In one body. Params of 64 KiB hold 32,000 at most; a megabyte of them would hold up everybody's requests."""
MAX_INTEGER = 2**63 - 1
MAX_STEP = 100
"""Characters of a key, where a place is told."""
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
            services = await services_of(strict)
            principal = await authenticate(strict, services)  # the framework would read the body first
            if not takes_body:
                return await handle(strict)
            with services.body_room.taken(principal.key_id, _most_bytes(strict)):
                await _require_json(strict)
                return await handle(strict)

        return handle_strictly


def _most_bytes(request: Request) -> int:
    """What its body will have at most. Where neither a length nor chunks are announced, HTTP/1.1 knows none."""
    declared = request.headers.get("content-length", "0" if "transfer-encoding" not in request.headers else "")
    return min(int(declared), MAX_REQUEST_BYTES) if declared.isdecimal() else MAX_REQUEST_BYTES


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

    Raises Problem, which names the place where there is one: not UTF-8, not JSON, a key that is there twice, NaN or an
    infinity, numbers that others would round, NUL, half a surrogate pair, or more values or nesting than anybody needs.
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
            parse_constant=values.constant,
            parse_int=values.integer,
            parse_float=values.number,
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # a JSONDecodeError says where, and never what
        where = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        raise Problem(400, "invalid_json", f"The body is not JSON{where}.") from None
    _check(value)
    return value


class _Unfit(NamedTuple):
    """What stands for a value that is refused, until its place is known."""

    code: str
    told: str


_TWICE = _Unfit("duplicate_key", "An object has the same key twice: readers would disagree about it.")
_TOO_LONG = _Unfit("invalid_number", "An integer does not fit into 64 bits.")
_TOO_LARGE = _Unfit("invalid_number", "A number is too large for a double.")
_NUL = _Unfit("nul_character", "A text contains NUL.")
_HALF = _Unfit("lone_surrogate", "A text contains half a surrogate pair.")


class _Values:
    """Makes the values of one text, as many as there may be."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def object(self, pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue] | _Unfit:
        self._count()
        made = dict(pairs)
        return made if len(made) == len(pairs) else _TWICE

    def integer(self, digits: str) -> int | _Unfit:
        self._count()
        return _TOO_LONG if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER else int(digits)

    def number(self, digits: str) -> float | _Unfit:
        self._count()
        value = float(digits)
        return value if math.isfinite(value) else _TOO_LARGE

    def constant(self, name: str) -> _Unfit:
        return _Unfit("invalid_number", f"{name} is not a JSON number.")

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _too_many()


class _Place(NamedTuple):
    """Where a value stands, as a step from where its list or object stands."""

    above: _Place | None
    step: str | int


def _check(value: JsonValue) -> None:
    """Look at every value. Raises Problem for the first one that is refused."""
    waiting: deque[tuple[JsonValue | _Unfit, int, _Place | None]] = deque([(value, 1, None)])
    left = MAX_VALUES
    while waiting:
        part, depth, place = waiting.popleft()
        if isinstance(part, _Unfit):
            raise _problem_at(place, part)
        if isinstance(part, str):
            _check_text(part, place)
        elif isinstance(part, dict | list):
            if depth > MAX_DEPTH:
                raise _too_deep()
            left -= len(part)
            if left < 0:
                raise _too_many()
            if isinstance(part, dict):
                for key in part:  # before any place is told that has it in it
                    _check_text(key, place)
            inner = part.items() if isinstance(part, dict) else enumerate(part)
            waiting.extend((each, depth + 1, _Place(place, step)) for step, each in inner)


def _check_text(text: str, place: _Place | None) -> None:
    if "\0" in text:
        raise _problem_at(place, _NUL)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _problem_at(place, _HALF) from None


def _problem_at(place: _Place | None, unfit: _Unfit) -> Problem:
    steps: list[JsonValue] = []
    while place is not None:
        steps.append(place.step if isinstance(place.step, int) else place.step[:MAX_STEP])
        place = place.above
    steps.reverse()
    told: dict[str, JsonValue] = {"loc": ["body", *steps], "message": unfit.told, "type": unfit.code}
    where = f"{'.'.join(map(str, steps))[:MAX_TEXT]}: " if steps else ""
    return Problem(400, unfit.code, f"{where}{unfit.told}", errors=[told])


def _too_deep() -> Problem:
    return Problem(400, "too_deep", f"Lists and objects nest more than {MAX_DEPTH} deep.")


def _too_many() -> Problem:
    return Problem(400, "too_many_values", f"The body holds more than {MAX_VALUES} values.")
