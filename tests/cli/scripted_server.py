"""A server on loopback for commands in processes of their own, which says what a test wants."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cli.servers import EVALUATION, an_event

HOSTILE = "\x1b[2J\x1b]0;title\x07[bold red]x[/] [link=https://evil.example]y[/link] \u202eabc\r\x9b31m \ud800 größer"
"""Markup, colours, titles, the screen, the direction of writing, half a pair, and honest letters."""
Answers = dict[str, tuple[int, object]]


class Server(ThreadingHTTPServer):
    """Answers each path as `answers` says; anything that is text is a stream."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: Answers = {}
        self.seen: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - the base class says less

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0].removeprefix("/api/v1/")
        self.server.seen.append((self.command, path, content))
        status, body = self.server.answers.get(path, (404, {"code": "not_found", "detail": "There is none."}))
        written = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Retry-After", "9")
        self.send_header("Content-Type", "text/event-stream" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base class calls them so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass


def a_status(status: str, **more: Any) -> dict[str, Any]:
    return {"evaluation_id": EVALUATION, "status": status, "stage": "sandbox_trial", "verdict": None, **more}


def accepted(*events: str, ended: str) -> Answers:
    """A server that takes a submission, streams `events`, and says `ended`."""
    here = f"evaluations/{EVALUATION}"
    return {
        "evaluations": (202, a_status("queued")),
        f"{here}/events": (200, "".join(events)),
        f"{here}/status": (200, a_status(ended)),
        f"{here}/result": (200, a_status(ended, result={"right": 1})),
    }


def hostile_answers() -> Answers:
    here = f"evaluations/{EVALUATION}"
    cause = {"code": "exception", "message": HOSTILE, "evidence": HOSTILE, "retryable": False}
    found = [{"severity": "high", "rule": HOSTILE, "line": 1, "message": HOSTILE}]
    status = a_status("failed", cause=cause, findings=found, message=HOSTILE)
    lines = {"entries": [{"stage": "pod_execution", "stream": "stdout", "text": HOSTILE}], "next_cursor": "c"}
    return {
        "evaluations": (200, {"evaluations": [{**status, "model_id": HOSTILE, "cause": {"code": HOSTILE}}],
                              "next_cursor": None}),
        here: (200, status),
        f"{here}/status": (200, status),
        f"{here}/result": (200, {**status, "result": {HOSTILE: HOSTILE}, "outcome": HOSTILE}),
        f"{here}/stop": (202, status),
        f"{here}/approve": (202, status),
        f"{here}/reject": (202, status),
        f"{here}/logs": (200, lines),
        f"{here}/events": (200, an_event(1, "log", text=HOSTILE) + an_event(2, "finding", message=HOSTILE, rule="r")
                           + an_event(3, "stop", reason=HOSTILE) + an_event(4, "status", status="failed", cause=cause)),
        "environments": (200, {"environments": [{"name": HOSTILE, "description": HOSTILE}]}),
        "models": (200, {"models": [{"model_id": HOSTILE, "provider": HOSTILE}]}),
    }  # fmt: skip
