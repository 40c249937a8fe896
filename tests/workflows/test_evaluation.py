"""The story of an evaluation: what leads where."""

import pytest
from temporalio.client import Client

from domain.evaluation import Evaluation, EvaluationEnd
from domain.lifecycle import REVIEW_STAGES, Status
from tests.workflows.stand_ins import DONE, ENVIRONMENT_DIGEST, StandIns, at_work, statuses_of
from workflows.client import Workflows
from workflows.evaluation import EvaluationWorkflow

pytestmark = pytest.mark.temporal

MAX_EVENTS = 80


async def end_of(client: Client, workflows: Workflows, evaluation: Evaluation) -> EvaluationEnd:
    await workflows.start(evaluation)
    return await client.get_workflow_handle_for(EvaluationWorkflow.run, evaluation.evaluation_id).result()


async def test_what_passes_every_stage_is_executed_and_completes(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns()

    async with at_work(client, stand_ins) as workflows:
        end = await end_of(client, workflows, evaluation)

    assert (end.status, end.cause, end.outcome) == (Status.COMPLETED, None, DONE.outcome)
    assert stand_ins.stages == list(REVIEW_STAGES)
    assert stand_ins.executions[0].environment_digest == ENVIRONMENT_DIGEST
    assert statuses_of(stand_ins) == [Status.VALIDATED, Status.COMPLETED]


async def test_a_happy_history_is_short(client: Client, evaluation: Evaluation) -> None:
    async with at_work(client, StandIns()) as workflows:
        await end_of(client, workflows, evaluation)

    history = await client.get_workflow_handle(evaluation.evaluation_id).fetch_history()
    assert len(history.events) <= MAX_EVENTS
