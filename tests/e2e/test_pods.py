"""The embedded set-up with scripts in pods: whatever dies or is done to a pod, nothing outlives its evaluation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from activities.messages import execution_run_id, trial_run_id
from domain.evaluation import EvaluationConfig, StopOrder
from domain.lifecycle import Status
from sandbox.kubernetes.manifest import pod_name
from sandbox.local.residue import processes_of_seed
from tests.e2e.mortal_worker import POINTS
from tests.e2e.outside import judged
from tests.e2e.pod_stack import PodStack, a_pod_stack
from worker.reasons import Reason

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]
TRIED_FOR_A_WHILE = """import time


def evaluate_model(model):
    print('here', flush=True)
    time.sleep(4)
    return 1
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pods(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[PodStack]:
    directory: Path = tmp_path_factory.mktemp("pods")
    async with a_pod_stack(directory) as started:
        yield started


def a_seed() -> int:
    return int.from_bytes(os.urandom(4), "little")


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(90):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - asked of the cluster
            await asyncio.sleep(0.1)


async def test_what_the_monitor_sees_of_a_pod_stops_its_evaluation_with_the_reason(pods: PodStack) -> None:
    seed = a_seed()
    evaluation_id = await pods.here(seed)

    pod = pod_name(execution_run_id(evaluation_id))
    patch = ("--patch", '{"spec":{"activeDeadlineSeconds":99}}')
    patched = pods.world.kubectl("patch", "pod", "-n", pods.namespaces["executions"], pod, *patch)
    record = await pods.stack.reached(evaluation_id, Status.STOPPED)

    assert patched.returncode == 0, patched.stderr
    assert record.cause is not None
    assert (record.cause.message, record.cause.evidence) == (Reason.CHANGED, "ordered by monitor")
    told = [entry.payload.get("text") for entry in await pods.stack.journal.read(evaluation_id)]
    assert told.count(f"{Reason.CHANGED}: a stop was ordered by the monitor") == 1
    assert processes_of_seed(seed) == []
    assert await pods.is_clean()


async def test_a_pod_that_is_deleted_by_hand_is_a_failure_and_no_stop(pods: PodStack) -> None:
    seed = a_seed()
    evaluation_id = await pods.here(seed)

    pods.world.remove_pod(pods.namespaces["executions"], pod_name(execution_run_id(evaluation_id)))
    (record,) = await pods.stack.ended([evaluation_id])

    assert record.cause is not None
    assert (record.status, record.cause.code) == (Status.ERROR, "runner_lost")
    assert "nobody had ordered a stop" in record.cause.message
    assert processes_of_seed(seed) == []
    assert await pods.is_clean()


async def test_a_trial_whose_pod_is_deleted_by_hand_is_held_again(pods: PodStack) -> None:
    evaluation_id = await pods.stack.submit(TRIED_FOR_A_WHILE, EvaluationConfig(timeout=60))
    trial = ("-n", pods.namespaces["trials"], pod_name(trial_run_id(evaluation_id, 1)))

    await until(lambda: "Running" in pods.world.kubectl("get", "pod", *trial).stdout)
    pods.world.remove_pod(trial[1], trial[2])

    (record,) = await pods.stack.ended([evaluation_id])
    assert record.status is Status.COMPLETED, record.cause
    assert await pods.is_clean()


async def test_a_worker_that_is_killed_at_any_point_executes_nothing_twice_and_leaves_nothing(pods: PodStack) -> None:
    before = await pods.stack.database.read(pods.rows)

    ids = await pods.killed_at(POINTS)
    records = await pods.stack.ended(ids.values())

    verdict = await judged(pods.stack.database, pods.stack.outside, records, asked=before + len(POINTS))
    assert verdict.faultless, verdict
    told = [record.cause.code if record.cause else record.status for record in records]
    ends = dict(zip(POINTS, told, strict=True))
    assert ends == dict.fromkeys(POINTS, "worker_lost") | {"recorded": Status.COMPLETED}
    assert await pods.is_clean()


async def test_a_journaled_stop_works_while_the_execution_worker_and_the_leading_monitor_are_dead(
    pods: PodStack,
) -> None:
    """The last one here: it leaves the others without a monitor and a worker."""
    stack, seed = pods.stack, a_seed()
    evaluation_id = await pods.here(seed)
    assert processes_of_seed(seed) != []

    leader = await pods.leader()
    other = {"monitor": "monitor-2", "monitor-2": "monitor"}[leader]
    acted = pods.acted(leader), pods.acted(other)
    await stack.kill("orchestrator")  # nobody hears a signal
    await stack.kill("execution")
    await stack.kill(leader)
    await stack.evaluations.order_stop(evaluation_id, StopOrder(reason="now"), stack.now())

    await until(lambda: not processes_of_seed(seed))
    assert await pods.leader() == other
    assert await pods.is_clean()
    await stack.start("orchestrator")
    record = await stack.reached(evaluation_id, Status.STOPPED)
    told = [entry.payload.get("text") for entry in await stack.journal.read(evaluation_id)]
    assert told.count(f"{Reason.STOP_ORDERED}: it was ended by the monitor") == 1
    assert (pods.acted(leader), pods.acted(other)) == (acted[0], acted[1] + 1)
    assert record.cause is not None
