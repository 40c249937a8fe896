"""A second version of the workflow replays the first one's evaluations, and takes those under way to their ends."""

from __future__ import annotations

import pytest
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from domain.evaluation import Evaluation
from domain.findings import Severity
from domain.lifecycle import Stage, Status
from tests.builders import an_evaluation
from tests.workflows.record_histories import HISTORIES, plots
from tests.workflows.second_version import AGAIN, SecondVersion, Unpatched
from tests.workflows.stand_ins import StandIns, a_finding, a_report, at_work, without
from tests.workflows.waiting import end_of, reaches
from workflows import task_queues
from workflows.client import connect
from workflows.payloads import data_converter

STORY = frozenset({task_queues.WORKFLOWS})
ACTIVITIES = without(task_queues.WORKFLOWS)


def checked_once_more(stand_ins: StandIns) -> bool:
    return any(task.attempt == AGAIN for task in stand_ins.tasks)


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())


@pytest.mark.parametrize("name", plots())
async def test_it_replays_every_history_of_the_first(name: str) -> None:
    replayer = Replayer(workflows=[SecondVersion], data_converter=data_converter)

    await replayer.replay_workflow(history(name))


async def test_the_same_change_without_a_patch_does_not_replay() -> None:
    replayer = Replayer(workflows=[Unpatched], data_converter=data_converter)

    outcome = await replayer.replay_workflow(history("happy"), raise_on_replay_failure=False)

    assert outcome.replay_failure is not None


@pytest.mark.temporal
async def test_what_was_past_the_change_ends_as_it_began(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(endless={"pod_execution"}, says_after_all=True)

    async with at_work(client, stand_ins, ACTIVITIES) as workflows:
        async with at_work(client, stand_ins, STORY):
            await workflows.start(evaluation)
            await reaches(workflows, evaluation, Status.EXECUTING)
        async with at_work(client, stand_ins, STORY, version=SecondVersion):
            stand_ins.endless.clear()
            end = await end_of(client, evaluation)

    assert end.status is Status.COMPLETED
    assert not checked_once_more(stand_ins)


@pytest.mark.temporal
@pytest.mark.slow
async def test_what_had_not_got_there_goes_the_new_way(client: Client, evaluation: Evaluation) -> None:
    stage = Stage.STATIC_ANALYSIS
    stand_ins = StandIns(reports={stage: [a_report(stage, a_finding(Severity.MEDIUM))]})

    async with at_work(client, stand_ins, ACTIVITIES) as workflows:
        async with at_work(client, stand_ins, STORY):
            await workflows.start(evaluation)
            await reaches(workflows, evaluation, Status.AWAITING_APPROVAL)
        async with at_work(client, stand_ins, STORY, version=SecondVersion):
            await workflows.approve(evaluation.evaluation_id, by="ada", findings_digest=None)
            end = await end_of(client, evaluation)

    assert end.status is Status.COMPLETED
    assert checked_once_more(stand_ins)


@pytest.mark.temporal
async def test_both_at_once_take_everything_to_its_end(client: Client, temporal_address: str) -> None:
    """A rolling deploy: an evaluation may meet either of them."""
    stand_ins, another = StandIns(), await connect(temporal_address, "default")
    several = [an_evaluation(f"rolling{name}") for name in "abcdef"]

    async with (
        at_work(client, stand_ins, ACTIVITIES) as workflows,
        at_work(client, stand_ins, STORY),
        at_work(another, stand_ins, STORY, version=SecondVersion),
    ):
        for evaluation in several:
            await workflows.start(evaluation)
        ends = [await end_of(client, evaluation) for evaluation in several]

    assert [end.status for end in ends] == [Status.COMPLETED] * len(several)
