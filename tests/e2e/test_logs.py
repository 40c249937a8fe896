"""No process logs a word of a client or a script, whatever its level; and its lines tell what they are about."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from domain.lifecycle import Status
from tests.e2e.stack import ROLES, ROOT, Stack, a_stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WORD = "zebra"
LOUD = f"\x1b[31m{WORD}\r\n{{'event': '{WORD}'}}"
SCRIPT = f"""import sys, os


def evaluate_model(model):
    print({LOUD!r}, "{WORD}" * 2000)
    sys.stderr.write({LOUD!r})
    try:
        open("/{WORD}", "w")
    except OSError:
        pass
    raise ValueError(model.generate("{WORD}") + "{WORD}")
"""
SUSPICIOUS = f"""import os


def evaluate_model(model):
    return os.environ.get("{WORD}_SECRET_KEY", "{WORD}")
"""
BROKEN = f"def evaluate_model(model:\n    '{WORD}'\n"
EVALUATION = re.compile(r"eval_[a-z2-7]{26}")


async def provoke(stack: Stack, key: str) -> list[str]:
    """Say the word in every way that a client has. Returns evaluations that were accepted."""
    headers = {"Authorization": f"Bearer {key}", "User-Agent": WORD, "X-Request-Id": WORD, "Cookie": WORD}
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, timeout=60, trust_env=False) as client:
        accepted: list[str] = []
        for number, script in enumerate((SCRIPT, SUSPICIOUS, f"print('{WORD}')\nraise SystemExit('{WORD}')\n")):
            body = {"model_id": "mock", "script": script, "config": {"params": {WORD: WORD}, "tags": {"a": WORD}}}
            answer = await client.post("/api/v1/evaluations", json=body, headers={"Idempotency-Key": f"{WORD}{number}"})
            accepted += [answer.json()["evaluation_id"]] if answer.status_code == 202 else []
        for body in (BROKEN, f'{{"{WORD}": "{WORD}"', json.dumps({"model_id": WORD, "script": WORD, WORD: WORD})):
            await client.post("/api/v1/evaluations", content=body, headers={"Content-Type": "application/json"})
        await client.post("/api/v1/evaluations", content=WORD, headers={"Content-Type": WORD})
        for path in (f"/{WORD}", f"/api/v1/evaluations/{WORD}", f"/api/v1/evaluations/{WORD}/status?cursor={WORD}"):
            await client.get(path)
        await client.get("/api/v1/evaluations", params={"cursor": WORD, "status": WORD})
        await client.get("/api/v1/evaluations", headers={"Authorization": f"Bearer {WORD}"})
        await client.post(f"/api/v1/evaluations/{accepted[0]}/stop", json={"reason": WORD})
        await client.get(f"/api/v1/evaluations/{accepted[0]}/logs", params={"after": WORD})
    noise(stack.api_port)
    for path in (WORD, f"api/v1/evaluations/{accepted[0]}/ws?after={WORD}"):
        with contextlib.suppress(InvalidStatus, WebSocketException):
            async with connect(f"ws://127.0.0.1:{stack.api_port}/{path}", additional_headers=headers) as websocket:
                await websocket.send(WORD)
                await websocket.recv()
    return accepted


def noise(port: int) -> None:
    """Not HTTP, and a WebSocket that breaks its protocol."""
    for words in (f"{WORD} {WORD}\r\n\r\n", f"GET /{WORD} HTTP/9.9\r\n{WORD}\r\n\r\n", "\x16\x03\x01" + WORD):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(words.encode("latin-1"))
            with contextlib.suppress(OSError):
                connection.recv(4096)


def lines_of(stack: Stack, name: str) -> list[str]:
    return stack.parts[name].log.read_text("utf-8", "replace").splitlines()


async def test_no_line_of_any_process_holds_a_foreign_word() -> None:
    async with a_stack(AIRLOCK_LOG_LEVEL="DEBUG") as stack:
        await stack.start("api")
        accepted = await provoke(stack, await stack.make_key())
        for evaluation_id in accepted:
            await stack.reached(evaluation_id, *Status, within=60)
        ended = (Status.COMPLETED, Status.FAILED, Status.STOPPED, Status.AWAITING_APPROVAL, Status.VALIDATION_FAILED)
        for evaluation_id in accepted:
            async with asyncio.timeout(120):
                while (await stack.record(evaluation_id)).status not in ended:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.2)
        logged = {name: lines_of(stack, name) for name in (*ROLES, "api")}

    assert len(accepted) == 3
    told: dict[str, list[dict[str, Any]]] = {
        name: [json.loads(line) for line in lines] for name, lines in logged.items()
    }
    assert not [line[-2000:] for lines in logged.values() for line in lines if WORD in line or "\x1b" in line]
    assert all(line["event"] for lines in told.values() for line in lines)
    about = [(name, line) for name, lines in told.items() for line in lines if EVALUATION.search(json.dumps(line))]
    assert about
    assert not [(name, line) for name, line in about if not _is_labelled(line)]
    staged = [line for name in ("validation", "execution") for line in told[name] if "stage" in line]
    assert {line["stage"] for line in staged} <= {"quick_checks", "static_analysis", "sandbox_trial", "pod_execution"}
    assert any(line.get("logger", "").startswith("uvicorn") for line in told["api"])


def _is_labelled(line: dict[str, Any]) -> bool:
    """Whether a line that speaks of an evaluation names it where one looks for it."""
    return EVALUATION.fullmatch(str(line.get("evaluation_id"))) is not None


@pytest.mark.parametrize("module", ["api", "worker"])
def test_both_kinds_of_process_log_by_the_same_renderer(module: str) -> None:
    source = (ROOT / module / "__main__.py").read_text()

    assert "configure_logs(settings.log_level)" in source
    assert "basicConfig" not in source
