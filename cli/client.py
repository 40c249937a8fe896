"""The HTTP client of the API: one method for each thing that it offers."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

import httpx

Json = dict[str, Any]
_EVALUATIONS = "/api/v1/evaluations"
TIMEOUT = httpx.Timeout(15.0, read=40.0)
"""Seconds. A wait for a stop, the longest answer there is, ends after 30."""


class ServerAway(Exception):
    """Nothing was done: the server cannot be reached, or says itself that a part of it is away."""


class Refused(Exception):
    """The server answers with a problem (RFC 9457). `retry_after` is in seconds, None where it names no time.

    `errors` are its details: for a script that is refused, where in it and what to write instead.
    """

    def __init__(
        self, status: int, code: str, detail: str, retry_after: float | None = None, errors: Sequence[Json] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.retry_after = status, code, detail, retry_after
        self.errors = errors


class Misconfigured(Exception):
    """An address or a key with which no request can be made. Its text is one sentence."""


_VISIBLE = re.compile(r"[!-~]+")
"""What can stand in a header. An HTTP library that finds anything else there says so with the whole secret."""


@dataclass(frozen=True)
class ServerEvent:
    """One event of a stream. Its data stem from the journal, and texts in it from the script."""

    cursor: str
    kind: str
    data: Json


class AirlockClient:
    """Speaks for one API key. Every method raises ServerAway and Refused, making one Misconfigured."""

    def __init__(self, url: str, api_key: str, transport: httpx.BaseTransport | None = None) -> None:
        if api_key and not _VISIBLE.fullmatch(api_key):
            raise Misconfigured("AIRLOCK_API_KEY is no key: it has letters that no key has.")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT, transport=transport)
        except httpx.InvalidURL as error:
            raise Misconfigured(f"AIRLOCK_URL is no address: {error}") from error
        if self._http.base_url.scheme not in {"http", "https"}:
            raise Misconfigured("AIRLOCK_URL is no address: it begins with neither http:// nor https://.")
        self.url = str(self._http.base_url.copy_with(userinfo=b"")).rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(
        self, model_id: str, script: str, config: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Json:
        """Submit a script: what the 202 says. With the same key twice, the same evaluation.

        Raises Misconfigured too: for an idempotency key that no request can carry.
        """
        if idempotency_key is not None and not _VISIBLE.fullmatch(idempotency_key):
            raise Misconfigured("An idempotency key is one word of letters, digits and signs.")
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        body = {"model_id": model_id, "script": script, "config": dict(config)}
        return self._named(self._asked("POST", _EVALUATIONS, content=json.dumps(body), headers=_JSON | headers))

    def list(self, *, status: str | None = None, limit: int = 20, cursor: str | None = None) -> Json:
        """A page of evaluations, newest first."""
        named = {"status": status, "limit": limit, "cursor": cursor}
        return self._asked("GET", _EVALUATIONS, params={name: value for name, value in named.items() if value})

    def evaluation(self, evaluation_id: str) -> Json:
        """Everything that is known about one evaluation."""
        return self._asked("GET", _path(evaluation_id))

    def status(self, evaluation_id: str) -> Json:
        """Where it is, and why."""
        return self._asked("GET", _path(evaluation_id, "status"))

    def result(self, evaluation_id: str) -> Json:
        """What its script claims, and what vouches for it."""
        return self._asked("GET", _path(evaluation_id, "result"))

    def logs(self, evaluation_id: str, after: str | None = None) -> Json:
        """A page of its output, from `after` on."""
        return self._asked("GET", _path(evaluation_id, "logs"), params={"after": after} if after else {})

    def stop(self, evaluation_id: str, reason: str, wait: float | None = None) -> Json:
        """Order an emergency stop. With `wait` (seconds) the answer comes when everything is confirmed dead."""
        params = {} if wait is None else {"wait": wait}
        return self._ordered(evaluation_id, "stop", {"reason": reason}, params)

    def approve(self, evaluation_id: str, findings_digest: str | None = None) -> Json:
        """Let a suspicious script go on. A digest of other findings than there are is refused."""
        return self._ordered(evaluation_id, "approve", {"findings_digest": findings_digest} if findings_digest else {})

    def reject(self, evaluation_id: str, reason: str) -> Json:
        """Refuse a suspicious script."""
        return self._ordered(evaluation_id, "reject", {"reason": reason})

    def retry(self, evaluation_id: str) -> Json:
        """Submit it again as a new evaluation that names it."""
        return self._named(self._ordered(evaluation_id, "retry", {}))

    def delete(self, evaluation_id: str) -> None:
        """Delete script, output and transcript of one that has ended."""
        self._asked("DELETE", _path(evaluation_id))

    def environments(self) -> Json:
        """What scripts may import."""
        return self._asked("GET", "/api/v1/environments")

    def models(self) -> Json:
        """What scripts may evaluate."""
        return self._asked("GET", "/api/v1/models")

    def events(self, evaluation_id: str, after: str | None = None) -> Generator[ServerEvent]:
        """Its events from `after` on, as they come. The stream ends behind the last one, or by its longest life."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        patient = httpx.Timeout(15.0, read=60.0)  # the server sends something every few seconds
        try:
            with self._http.stream("GET", _path(evaluation_id, "events"), headers=headers, timeout=patient) as response:
                if not response.is_success:
                    response.read()
                    raise _problem(response)
                yield from _events(response.iter_lines())
        except httpx.HTTPError as error:
            raise ServerAway(f"{self.url} cannot be reached: {error}") from error

    def export(self, evaluation_id: str) -> Generator[bytes]:
        """Everything that is kept of it, as the bytes of one JSON document, piece by piece."""
        try:
            with self._http.stream("GET", _path(evaluation_id, "export")) as response:
                if response.is_error:
                    response.read()
                    raise _problem(response)
                yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise ServerAway(f"{self.url} cannot be reached: {error}") from error

    def _named(self, accepted: Json) -> Json:
        """What a submission is answered, which names its evaluation."""
        if not isinstance(accepted.get("evaluation_id"), str):
            raise ServerAway(f"{self.url} is no Airlock: its answer names no evaluation.")
        return accepted

    def _ordered(self, evaluation_id: str, order: str, body: Json, params: Json | None = None) -> Json:
        return self._asked(
            "POST", _path(evaluation_id, order), content=json.dumps(body), headers=_JSON, params=params or {}
        )

    def _asked(self, method: str, path: str, **options: Any) -> Json:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ServerAway(f"{self.url} cannot be reached: {error}") from error
        if not response.is_success:
            raise _problem(response)
        document = _document(response)
        if response.content and not document:  # a proxy's page of welcome, for instance
            raise ServerAway(f"{self.url} is no Airlock: its answer is no document.")
        return document


_JSON = {"Content-Type": "application/json"}


def _path(evaluation_id: str, part: str = "") -> str:
    """Whatever was typed for an id names one evaluation, and no other path of the server."""
    name = quote(evaluation_id, safe="", errors="replace").replace(".", "%2E")  # a shell passes on bytes of any kind
    return f"{_EVALUATIONS}/{name}" + (f"/{part}" if part else "")


def part_of(value: Mapping[str, Any], name: str) -> Json:
    """An object within an answer; empty where there is none."""
    part: Any = value.get(name)
    return cast("Json", part) if isinstance(part, dict) else {}


def parts_of(value: Mapping[str, Any], name: str) -> list[Json]:
    """A list of objects within an answer; empty where there is none."""
    listed: Any = value.get(name)
    parts = cast("list[Any]", listed) if isinstance(listed, list) else []
    return [cast("Json", part) for part in parts if isinstance(part, dict)]


def _problem(response: httpx.Response) -> Refused | ServerAway:
    problem = _document(response)
    detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    if response.status_code >= 500:
        return ServerAway(detail)
    code = str(problem.get("code", ""))
    return Refused(response.status_code, code, detail, _seconds(response), parts_of(problem, "errors"))


def _seconds(response: httpx.Response) -> float | None:
    """What Retry-After says. A date, which our server never sends, is None."""
    words = response.headers.get("Retry-After", "")
    return float(words) if words.isdecimal() else None


def _document(response: httpx.Response) -> Json:
    """The object in an answer; empty where there is none."""
    try:
        value: object = response.json() if response.content else {}
    except (ValueError, RecursionError):
        value = {}
    return cast("Json", value) if isinstance(value, dict) else {}


def _events(lines: Iterator[str]) -> Generator[ServerEvent]:
    cursor, kind, data = "", "message", list[str]()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                cursor = value
            case "event":
                kind = value
            case "data":
                data.append(value)
            case "" if not line and data:
                yield ServerEvent(cursor, kind, _data("\n".join(data)))
                kind, data = "message", []
            case _:
                pass


def _data(text: str) -> Json:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ServerAway("The stream holds something that is no event.") from error
    return cast("Json", value) if isinstance(value, dict) else {}
