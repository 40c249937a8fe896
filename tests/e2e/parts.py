"""The processes of a stack: each can be started, killed, frozen and ended by itself, and tells when it works."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from domain.errors import WorkflowsUnavailable
from workflows.client import Workflows, connect

ROOT = Path(__file__).parents[2]
READY_SECONDS = 120.0
LEAVE_SECONDS = 40.0


@dataclass
class Part:
    """One process of the stack."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    is_ready: Callable[[], bool]
    forget: Callable[[], object] = lambda: None
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    def start(self) -> None:
        """Start it; what it says is appended to its log."""
        self.forget()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait until it works."""
        last = time.monotonic() + READY_SECONDS
        while not await asyncio.to_thread(self.is_ready):
            assert self.process is not None
            assert self.process.poll() is None, f"{self.name} has ended: {self.tail()}"
            assert time.monotonic() < last, f"{self.name} is not ready: {self.tail()}"
            await asyncio.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        assert self.process is not None
        self.process.send_signal(number)

    async def left(self) -> int:
        """Wait until it has ended; its exit code."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, LEAVE_SECONDS)

    def end(self) -> None:
        """Kill whatever is left of it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-2000:] if self.log.exists() else ""


def is_ready(url: str) -> bool:
    """Whether the API would take a request."""
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def listens(port: int) -> bool:
    """Whether Temporal answers there, its namespace included."""
    try:
        asyncio.run(_answers(port))
    except WorkflowsUnavailable:
        return False
    return True


async def _answers(port: int) -> None:
    workflows = Workflows(await connect(f"127.0.0.1:{port}", "default"))
    await workflows.ping()
    workflows.forget()
    gc.collect()


def parents_of_all() -> dict[int, int]:
    """The parent of every process that is alive; one that is only waited for is not."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = text_of(entry / "stat").rpartition(")")[2].split()
            if fields and fields[0] not in {"Z", "X"}:
                found[int(entry.name)] = int(fields[1])
    return found


def text_of(file: Path) -> str:
    """What a file says; nothing where it has gone, or is somebody else's."""
    try:
        return file.read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
