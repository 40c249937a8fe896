"""What watchers cost: 500 event streams on 20 evaluations in one API process, and how soon an entry is seen.

.venv/bin/python bench/watchers.py [watchers, 500 by default]
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import JsonValue

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.api import SCRIPT, api, prepared
from bench.measured import keep, quantiles
from domain.journal import EntryKind, NewEntry
from storage.database import Database
from storage.journal import Journal
from tests.dev_temporal import dev_temporal

METHOD = (
    "event streams over plain sockets, spread evenly over 20 evaluations; another connection appends a line to one "
    "after the other, 50 ms apart; from before the append to the read of the line by each of its watchers; resident "
    "memory of the API before and after the streams were opened; SQLite file, clients on the same machine"
)
EVALUATIONS = 20
LINES = 200
WANTED_MS = 250
MARK = b"the-line-"


async def main(base: str, database_url: str, secret: str, pid: int, watchers: int) -> dict[str, object]:
    """Measure once."""
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60, trust_env=False) as http:
        ids: list[str] = []
        for _ in range(EVALUATIONS):
            answer = await http.post("/api/v1/evaluations", json={"model_id": "mock", "script": SCRIPT})
            ids.append(answer.json()["evaluation_id"])
    before = resident_kb(pid)
    seen: list[float] = []
    appended: dict[int, float] = {}
    streams = [await opened(base, secret, ids[n % EVALUATIONS]) for n in range(watchers)]
    await asyncio.sleep(2)
    after = resident_kb(pid)
    watching = [asyncio.create_task(watch(reader, appended, seen)) for reader, _ in streams]
    async with Database(database_url) as database:
        journal = Journal(database)
        for line in range(LINES):
            appended[line] = time.perf_counter()
            await journal.append(ids[line % EVALUATIONS], [a_line(line)])
            await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    for _, writer in streams:
        writer.transport.abort()
    expected = sum(1 for line in range(LINES) for n in range(watchers) if n % EVALUATIONS == line % EVALUATIONS)
    return {
        "watchers": watchers,
        "lines_expected": expected,
        "append_to_seen": quantiles(seen),
        "memory_per_watcher_kb": round((after - before) / watchers, 1),
        "api_resident_mb": resident_kb(pid) // 1024,
        "wanted_p95_ms": WANTED_MS,
    }


def a_line(number: int) -> NewEntry:
    """A line of output that a watcher knows again."""
    text = f"{MARK.decode()}{number:06d}"
    payload: dict[str, JsonValue] = {"stream": "stdout", "text": text}
    return NewEntry(at=datetime.now(UTC), kind=EntryKind.LOG, run="bench", frame=number, payload=payload)


async def opened(base: str, secret: str, evaluation_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream whose head has come."""
    place = urlsplit(base)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    path = f"/api/v1/evaluations/{evaluation_id}/events"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    return reader, writer


async def watch(reader: asyncio.StreamReader, appended: dict[int, float], seen: list[float]) -> None:
    """Note when each line came."""
    async for line in reader:
        _, mark, rest = line.partition(MARK)
        if mark:
            seen.append(time.perf_counter() - appended[int(rest[:6])])


def resident_kb(pid: int) -> int:
    """Of one process, without its children."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def pid_of_api(port: int) -> int:
    """The child of ours that listens there."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text("utf-8").split()
    wanted = f"AIRLOCK_PORT={port}".encode()
    return next(int(pid) for pid in children if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    os.environ["AIRLOCK_STREAMS_PER_KEY"] = str(count)
    with tempfile.TemporaryDirectory() as name, dev_temporal(Path(name) / "server.log") as temporal:
        url, key = asyncio.run(prepared(Path(name)))
        with api(Path(name), url, temporal) as address:
            process = pid_of_api(urlsplit(address).port or 0)
            figures = asyncio.run(main(address, url, key, process, count))
        gc.collect()
    keep("watchers", METHOD, figures)
