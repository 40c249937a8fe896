"""Servers as a test needs them: an httpx transport that answers by a function, and the streams it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from cli.client import AirlockClient

EVALUATION = "eval_aaaaaaaaaaaaaaaaaaaaaaaaaa"
URL = "http://airlock.test"


def a_client(answer: Callable[[httpx.Request], httpx.Response], key: str = "secret") -> AirlockClient:
    """A client whose server is `answer`."""
    return AirlockClient(URL, key, httpx.MockTransport(answer))


def an_event(number: int, kind: str, **payload: Any) -> str:
    """One event as the server writes it."""
    data = json.dumps({"evaluation_id": EVALUATION, "stage": payload.pop("at", None), "payload": payload})
    return f"id: c{number}\nevent: {kind}\ndata: {data}\n\n"


def a_stream(*events: str) -> httpx.Response:
    """A stream that ends behind the last of them."""
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text="".join(events))


def a_problem(status: int, code: str, detail: str, **headers: str) -> httpx.Response:
    """A refusal as the server writes it."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json", **headers})
