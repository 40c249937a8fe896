"""Evaluations a second and processor seconds of each: embedded, and on Postgres with one and two workers per role.

    .venv/bin/python bench/scaling.py [evaluations, 100 by default]

Beside it the bare workflow of four empty activities (bench/orchestration.py) on the same servers. The set-ups on
Postgres need TEMPORAL_ADDRESS and TEST_POSTGRES_URL, and are left out, which is said, where there are none.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from temporalio.client import Client
from temporalio.worker import Worker

from bench.measured import keep
from bench.orchestration import FourActivities, nothing
from domain.lifecycle import Status
from tests.e2e.servers import a_server_stack
from tests.e2e.stack import Stack, a_stack
from workflows import task_queues

METHOD = (
    "all evaluations of a small script with one model call are submitted at once, as the API does it; the clock runs "
    "to the last end; processor seconds are those of our processes and of what they ran, from /proc, without the "
    "servers' own; the bare workflow runs as often, at once, with one worker in this process"
)
SCRIPT = "def evaluate_model(model):\n    return model.generate('1 + 1')\n"
BARE_QUEUE = "bare"


async def main(count: int) -> None:
    """Measure each set-up once."""
    figures: dict[str, object] = {"evaluations": count}
    async with a_stack() as stack:
        figures["embedded"] = await measured(stack, count)
    if "TEMPORAL_ADDRESS" not in os.environ or "TEST_POSTGRES_URL" not in os.environ:
        print("TEMPORAL_ADDRESS and TEST_POSTGRES_URL name no servers: only the embedded set-up was measured")
    else:
        for each in (1, 2):
            async with a_server_stack(each) as stack:
                figures[f"postgres, {each} of each role"] = await measured(stack, count)
    keep("scaling", METHOD, figures)


async def measured(stack: Stack, count: int) -> dict[str, float]:
    """One set-up: our evaluations, and bare workflows on its server."""
    await stack.reached(await stack.submit(SCRIPT), Status.COMPLETED)  # everything is loaded by now
    used, began = processor_seconds(stack), time.perf_counter()
    ids = await asyncio.gather(*(stack.submit(SCRIPT) for _ in range(count)))
    records = await stack.ended(ids, within=900)
    took, used = time.perf_counter() - began, processor_seconds(stack) - used
    return {
        "completed": sum(record.status is Status.COMPLETED for record in records),
        "evaluations_per_s": round(count / took, 2),
        "processor_seconds_each": round(used / count, 3),
        "bare_workflows_per_s": round(count / await bare(stack.client, count), 2),
    }


async def bare(client: Client, count: int) -> float:
    """Seconds that as many bare workflows take."""
    queues = (task_queues.WORKFLOWS, task_queues.VALIDATION, task_queues.EXECUTION)
    names = {queue: f"{BARE_QUEUE}-{queue}" for queue in queues}
    async with (
        Worker(client, task_queue=names[task_queues.WORKFLOWS], workflows=[FourActivities]),
        Worker(client, task_queue=names[task_queues.VALIDATION], activities=[nothing]),
        Worker(client, task_queue=names[task_queues.EXECUTION], activities=[nothing]),
    ):
        began = time.perf_counter()
        await asyncio.gather(
            *(
                client.execute_workflow(
                    FourActivities.run, BARE_QUEUE, id=f"bare-{uuid.uuid4()}", task_queue=names[task_queues.WORKFLOWS]
                )
                for _ in range(count)
            )
        )
        return time.perf_counter() - began


def processor_seconds(stack: Stack) -> float:
    """Used by our processes and by the children that they have waited for; the embedded Temporal is a server."""
    ticks = 0
    for name, part in stack.parts.items():
        if name != "temporal" and part.process is not None:
            fields = Path(f"/proc/{part.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
