"""What the story costs: an evaluation whose stages do nothing, against a bare workflow with four empty activities.

Same server, same queues, same workers, in pairs one after the other, one at a time; medians of both, and their ratio.
Prints the method with the figures, and writes bench/results/orchestration.json.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from domain.evaluation import Evaluation
    from tests.builders import an_evaluation
    from tests.dev_temporal import dev_temporal
    from tests.workflows.stand_ins import StandIns
    from workflows import task_queues
    from workflows.client import Workflows, connect
    from workflows.evaluation import EvaluationWorkflow

WARM_UP = 5
WANTED_RATIO = 2.0
METHOD = "submit to result in ms, medians of interleaved pairs, one at a time, dev server in memory with our settings"
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@activity.defn
async def nothing(text: str) -> str:
    """Do nothing."""
    return text


@workflow.defn
class FourActivities:
    """The least that four stages can be."""

    @workflow.run
    async def run(self, text: str) -> str:
        """Three activities on the validation queue, one on the execution queue; `bare`: on queues of its own."""
        prefix = "bare-" if text == "bare" else ""
        for queue in (*[task_queues.VALIDATION] * 3, task_queues.EXECUTION):
            await workflow.execute_activity(
                nothing, text, task_queue=prefix + queue, start_to_close_timeout=timedelta(seconds=10)
            )
        return text


async def measured(work: Callable[[], Awaitable[object]]) -> float:
    """How long it takes, in milliseconds."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def evaluate(client: Client) -> None:
    """One evaluation, submitted as the API does it."""
    name = "eval_" + "".join(random.choices(ALPHABET, k=26))
    evaluation: Evaluation = an_evaluation().model_copy(update={"evaluation_id": name})
    await Workflows(client).start(evaluation)
    await client.get_workflow_handle(name).result()


async def bare(client: Client) -> None:
    """One bare workflow."""
    await client.execute_workflow(FourActivities.run, "x", id=f"bare-{uuid.uuid4()}", task_queue=task_queues.WORKFLOWS)


async def pairs(address: str, count: int) -> tuple[list[float], list[float], int]:
    """The times of evaluations and of bare workflows, and the events of a happy history."""
    client = await connect(address, "default")
    announcements: set[asyncio.Task[bool]] = set()

    async def announce(evaluation_id: str) -> None:
        announcements.add(
            asyncio.create_task(Workflows(client).announce(evaluation_id))
        )  # as pod_execution does: beside

    stand_ins = StandIns(announce=announce)
    activities = {
        task_queues.WORKFLOWS: [],
        task_queues.VALIDATION: [
            stand_ins.quick_checks,
            stand_ins.static_analysis,
            stand_ins.sandbox_trial,
            nothing,
        ],
        task_queues.EXECUTION: [stand_ins.pod_execution, nothing],
        task_queues.RECORDS: [stand_ins.record_status, stand_ins.record_stop, stand_ins.conclude],
        task_queues.MONITOR: [stand_ins.kill_run],
    }
    async with AsyncExitStack() as stack:
        for queue, served in activities.items():
            flows = [EvaluationWorkflow, FourActivities] if queue == task_queues.WORKFLOWS else []
            worker = Worker(client, task_queue=queue, activities=served, workflows=flows)
            await stack.enter_async_context(worker)
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(WARM_UP + count):
            one, other = await measured(lambda: evaluate(client)), await measured(lambda: bare(client))
            if number >= WARM_UP:
                ours.append(one)
                theirs.append(other)
        await asyncio.gather(*announcements)
        last = client.get_workflow_handle(stand_ins.ends[-1].end.evaluation_id)
        return ours, theirs, len((await last.fetch_history()).events)


def main() -> None:
    """Measure, print, and keep."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=60)
    count = options.parse_args().pairs
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, dev_temporal(Path(folder) / "server.log") as address:
        ours, theirs, events = asyncio.run(pairs(address, count))
        gc.collect()
    result = {
        "method": METHOD,
        "pairs": count,
        "evaluation_median_ms": round(statistics.median(ours), 1),
        "bare_median_ms": round(statistics.median(theirs), 1),
        "ratio": round(statistics.median(ours) / statistics.median(theirs), 2),
        "wanted_ratio": WANTED_RATIO,
        "happy_history_events": events,
    }
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "orchestration.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
