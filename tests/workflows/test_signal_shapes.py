"""Every shape in which the CLI, tctl or a careless client sends a stop does stop."""

import asyncio
import json

import pytest
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client

from domain.evaluation import Evaluation
from domain.findings import Severity
from domain.lifecycle import Stage, Status
from tests.dev_temporal import temporal_binary
from tests.slices import slice_of
from tests.workflows.stand_ins import StandIns, a_finding, a_report, at_work
from tests.workflows.waiting import end_of, reaches

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


async def send(client: Client, evaluation: Evaluation, name: str, *payloads: Payload) -> None:
    """A signal as any program may send it."""
    await client.workflow_service.signal_workflow_execution(
        SignalWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=evaluation.evaluation_id),
            signal_name=name,
            input=Payloads(payloads=payloads),
            identity="somebody",
        )
    )


def encoded(encoding: str, data: bytes, **more: str) -> Payload:
    return Payload(metadata={"encoding": encoding.encode(), **{key: more[key].encode() for key in more}}, data=data)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([], "emergency stop"),
        (['"enough"'], "enough"),
        (['{"reason": "enough", "by": "ada"}'], "enough"),
        (["null"], "emergency stop"),
        (["7"], "7"),
        (['["a", {"b": 1}]'], "emergency stop"),
        (['"enough"', '"too much"'], "enough"),
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

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await send(client, evaluation, "emergency_stop", encoded("json/plain", json.dumps("enough").encode()))
        end = await end_of(client, evaluation)

    assert end.cause is not None
    assert (end.status, end.cause.message) == (Status.STOPPED, "enough")


ODD = {
    "null": [encoded("binary/null", b"")],
    "bytes": [encoded("binary/plain", b"\xff\x00")],
    "a message that nobody knows": [encoded("json/protobuf", b"{}", messageType="no.such.Message")],
    "a message that is broken": [encoded("binary/protobuf", b"\xff", messageType="temporal.api.common.v1.Payload")],
    "an encoding that nobody knows": [encoded("binary/encrypted", b"?")],
    "an encoding that is no text": [Payload(metadata={"encoding": b"\xff"}, data=b"?")],
    "no encoding": [Payload(data=b"?")],
    "no JSON": [encoded("json/plain", b"enough")],
    "no UTF-8": [encoded("json/plain", b'"\xff"')],
    "a lone surrogate": [encoded("json/plain", b'"\\ud800"')],
    "a deep array": [encoded("json/plain", b"[" * 100_000 + b"]" * 100_000)],
    "a long number": [encoded("json/plain", b"9" * 100_000)],
    "a long text": [encoded("json/plain", b'"' + b"x" * 1_000_000 + b'"')],
    "two values": [encoded("json/plain", b'"one"'), encoded("json/plain", b'"two"')],
    "many values": [encoded("json/plain", b"7")] * 100,
}

UNDERSTOOD = frozenset({"null", "a long text"})
"""Nothing, and a name: the person may approve without a digest."""


@pytest.mark.parametrize("shape", slice_of(ODD, every=3))
async def test_what_nobody_can_read_is_a_stop_and_no_approval(
    client: Client, evaluation: Evaluation, shape: str
) -> None:
    stage = Stage.STATIC_ANALYSIS
    stand_ins = StandIns(reports={stage: [a_report(stage, a_finding(Severity.MEDIUM))]})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.AWAITING_APPROVAL)
        for name in ("approve", "execution_began", "emergency_stop"):
            if name != "approve" or shape not in UNDERSTOOD:
                await send(client, evaluation, name, *ODD[shape])
        end = await end_of(client, evaluation)

    assert end.status is Status.STOPPED
    assert not stand_ins.executions
