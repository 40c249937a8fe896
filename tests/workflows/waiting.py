"""Waiting until a workflow has got somewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from temporalio.client import Client, WorkflowHandle

from domain.evaluation import Evaluation, EvaluationEnd
from domain.lifecycle import Status
from workflows.client import Workflows
from workflows.evaluation import EvaluationWorkflow

HANGS_AFTER_SECONDS = 60.0


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(HANGS_AFTER_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is waited for is on the other side of a server
            await asyncio.sleep(0.05)


async def reaches(workflows: Workflows, evaluation: Evaluation, status: Status) -> None:
    """Return once the workflow says that it is there."""

    async def holds() -> bool:
        report = await workflows.status(evaluation.evaluation_id)
        return report is not None and report.status is status

    await eventually(holds)


def handle_of(client: Client, evaluation: Evaluation) -> WorkflowHandle[EvaluationWorkflow, EvaluationEnd]:
    return client.get_workflow_handle_for(EvaluationWorkflow.run, evaluation.evaluation_id)


async def end_of(client: Client, evaluation: Evaluation) -> EvaluationEnd:
    """How it ended."""
    async with asyncio.timeout(HANGS_AFTER_SECONDS):
        return await handle_of(client, evaluation).result()


async def waits_for(client: Client, evaluation: Evaluation, activity: str) -> None:
    """Return once an activity is scheduled."""

    async def holds() -> bool:
        pending = (await handle_of(client, evaluation).describe()).raw_description.pending_activities
        return [one.activity_type.name for one in pending] == [activity]

    await eventually(holds)
