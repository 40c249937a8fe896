"""Every shape in which the CLI, tctl or a careless client sends a stop does stop."""

import asyncio
import json

import pytest
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client

from domain.evaluation import Evaluation
from domain.lifecycle import Status
from tests.dev_temporal import temporal_binary
from tests.workflows.stand_ins import StandIns, at_work
from tests.workflows.waiting import end_of, eventually, reaches

pytestmark = pytest.mark.temporal


async def signal_by_cli(address: str, evaluation: Evaluation, name: str, *inputs: str) -> None:
    """`temporal workflow signal`, as anybody types it."""
    arguments = ["workflow", "signal", "--address", address, "-w", evaluation.evaluation_id, "--name", name]
    more = [argument for value in inputs for argument in ("--input", value)]
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), *arguments, *more, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([], "emergency stop"),
        (['"enough"'], "enough"),
        (['{"reason": "enough", "by": "ada"}'], "enough"),
        (["null"], "emergency stop"),
        (["7"], "7"),
        (['["a", {"b": 1}]'], "emergency stop"),
    ],
)
async def test_the_cli_stops_it(
    client: Client, temporal_address: str, evaluation: Evaluation, inputs: list[str], reason: str
) -> None:
    stand_ins = StandIns(endless={"pod_execution"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await signal_by_cli(temporal_address, evaluation, "emergency_stop", *inputs)
        end = await end_of(client, evaluation)

    assert end.cause is not None
    assert (end.status, end.cause.message) == (Status.STOPPED, reason)


async def test_the_payload_of_tctl_stops_it(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(endless={"pod_execution"})
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps("enough").encode())

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace="default",
                workflow_execution=WorkflowExecution(workflow_id=evaluation.evaluation_id),
                signal_name="emergency_stop",
                input=Payloads(payloads=[payload]),
                identity="tctl",
            )
        )
        end = await end_of(client, evaluation)

    assert end.cause is not None
    assert (end.status, end.cause.message) == (Status.STOPPED, "enough")


@pytest.mark.slow  # it waits for Temporal to give a task up
async def test_two_inputs_wedge_it_and_temporal_says_so(
    client: Client, temporal_address: str, evaluation: Evaluation
) -> None:
    """What docs/decisions tell of the signal: nobody may send two."""
    stand_ins = StandIns(endless={"pod_execution"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await signal_by_cli(temporal_address, evaluation, "emergency_stop", '"one"', '"two"')

        async def reported() -> bool:
            problem = "TemporalReportedProblems IN ('category=WorkflowTaskFailed')"
            found = await client.count_workflows(f"WorkflowId='{evaluation.evaluation_id}' AND {problem}")
            return found.count == 1

        await eventually(reported)
        still_open = await workflows.is_open(evaluation.evaluation_id)

    assert still_open
