"""The embedded set-up with scripts in pods: its processes die, and no pod outlives its evaluation."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from domain.evaluation import StopOrder
from domain.lifecycle import Status
from sandbox.local.residue import processes_of_seed
from tests.e2e.pod_stack import a_pod_stack
from worker.reasons import Reason

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.slow]


async def test_a_journaled_stop_works_while_the_execution_worker_and_the_leading_monitor_are_dead(
    tmp_path: Path,
) -> None:
    async with a_pod_stack(tmp_path) as pods:
        stack, seed = pods.stack, int.from_bytes(os.urandom(4), "little")
        evaluation_id = await pods.here(seed)
        assert processes_of_seed(seed) != []

        leader = await pods.leader()
        await stack.kill("orchestrator")  # nobody hears a signal
        await stack.kill("execution")
        await stack.kill(leader)
        await stack.evaluations.order_stop(evaluation_id, StopOrder(reason="now"), stack.now())

        for _ in range(200):
            if not processes_of_seed(seed):
                break
            await asyncio.sleep(0.1)
        assert processes_of_seed(seed) == []
        other = {"monitor": "monitor-2", "monitor-2": "monitor"}[leader]
        assert await pods.leader() == other
        assert await asyncio.to_thread(pods.world.is_empty, pods.namespaces["executions"], 20)
        await stack.start("orchestrator")
        record = await stack.reached(evaluation_id, Status.STOPPED)
        told = [entry.payload.get("text") for entry in await stack.journal.read(evaluation_id)]
        assert told.count(f"{Reason.STOP_ORDERED}: it was ended by the monitor") == 1
        assert (pods.acted(leader), pods.acted(other)) == (0, 1)
        assert record.cause is not None
