"""Runs for the tests of this directory, and what is seen of them."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from domain.model_calls import ModelAnswer, ModelRequest
from domain.runs import RunPurpose, RunReport, RunRequest
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.port import Began, Printed, RunEvent

SPIN = "import os\nos.fork()\nprint('spinning', flush=True)\nwhile True: pass\n"


def a_run(script: str, **parts: Any) -> RunRequest:
    return RunRequest.model_validate(
        {
            "run_id": f"eval_{secrets.token_hex(8)}-execution",
            "purpose": RunPurpose.EXECUTION,
            "script": script.encode(),
            "model_id": "m",
            "environment": "default",
            "timeout_seconds": 30,
            **parts,
        }
    )


class Seen:
    """Watches a run."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []
        self.began = asyncio.Event()
        self.printed = asyncio.Event()
        self.stop = asyncio.Event()

    async def watch(self, event: RunEvent) -> None:
        self.events.append(event)
        if isinstance(event, Began):
            self.began.set()
        if isinstance(event, Printed):
            self.printed.set()

    @property
    def lines(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Printed)]

    async def run(self, sandbox: KubernetesSandbox, request: RunRequest) -> RunReport:
        return await sandbox.run(request, answer=echo, watch=self.watch, stop=self.stop)


async def echo(request: ModelRequest) -> ModelAnswer:
    return ModelAnswer(call=request.call, text=request.messages[-1].content.upper())
