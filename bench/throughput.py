"""How many evaluations a second the embedded set-up takes to their ends, and what its processes weigh.

.venv/bin/python bench/throughput.py [evaluations, 200 by default]
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measured import keep
from tests.e2e.stack import ROLES, Stack, a_stack

METHOD = (
    "all evaluations of a small script with one model call are submitted at once over HTTP to a stack with one process "
    "per role; the clock runs from the first request to the last end; resident memory is read from /proc at the end"
)
SCRIPT = "def evaluate_model(model):\n    return model.generate('1 + 1')\n"
AT_ONCE = 50
"""Connections: all is submitted as fast as the API takes it."""


async def main(count: int) -> None:
    """Measure once."""
    async with a_stack(AIRLOCK_RATE_LIMIT="100000/minute") as stack:
        await stack.start("api")
        headers = {"Authorization": f"Bearer {await stack.make_key()}"}
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(
            base_url=stack.api_url, headers=headers, trust_env=False, timeout=60, limits=limits
        ) as http:
            began = time.perf_counter()
            ids = await asyncio.gather(*(submitted(http) for _ in range(count)))
            accepted = time.perf_counter() - began
            records = await stack.ended(ids, within=900)
            took = time.perf_counter() - began
        ends = Counter(record.status.value for record in records)
        figures = {
            "evaluations": count,
            "ends": dict(ends),
            "accepted_within_s": round(accepted, 2),
            "ended_within_s": round(took, 2),
            "evaluations_per_s": round(count / took, 2),
            "resident_mb": {name: resident_mb(stack, name) for name in ("api", *ROLES)},
        }
    keep("throughput", METHOD, figures)


async def submitted(http: httpx.AsyncClient) -> str:
    """The id of an accepted evaluation; a full API is asked again, as it says."""
    while True:
        answer = await http.post("/api/v1/evaluations", json={"model_id": "mock", "script": SCRIPT})
        if answer.status_code not in {429, 503}:
            answer.raise_for_status()
            return answer.json()["evaluation_id"]
        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))


def resident_mb(stack: Stack, name: str) -> int:
    """Megabytes of memory that a process itself has; its children are not counted."""
    status = Path(f"/proc/{stack.parts[name].pid}/status").read_text("utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
