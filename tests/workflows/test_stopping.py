"""A stop works from every status, ends with a cause, and never claims a death that nobody has confirmed."""

import pytest
from temporalio.client import Client

from domain.evaluation import Evaluation, EvaluationEnd, StopOrder
from domain.findings import Severity
from domain.lifecycle import Stage, Status
from tests.workflows.stand_ins import StandIns, a_finding, a_report, at_work, without
from tests.workflows.waiting import end_of, eventually, handle_of, reaches, waits_for
from workflows import task_queues

pytestmark = pytest.mark.temporal

ORDER = StopOrder(reason="enough", by="ada")


def assert_stopped(end: EvaluationEnd, stand_ins: StandIns) -> None:
    assert end.cause is not None
    assert (end.status, end.cause.code, end.cause.message) == (Status.STOPPED, "stopped", "enough")
    assert "ada" in end.cause.evidence
    assert stand_ins.ends[0].end == end
    assert [notice.order for notice in stand_ins.stops] == [ORDER]


async def test_queued_without_a_worker(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns()

    async with at_work(client, stand_ins, without(task_queues.VALIDATION)) as workflows:
        await workflows.start(evaluation)
        await workflows.stop(evaluation.evaluation_id, ORDER)
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)
    assert not stand_ins.kills  # nothing of the script was ever run


async def test_a_stop_that_is_there_before_the_workflow_runs(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns()

    async with at_work(client, stand_ins, frozenset()) as workflows:
        await workflows.start(evaluation)
        await workflows.stop(evaluation.evaluation_id, ORDER)
    async with at_work(client, stand_ins):
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)


@pytest.mark.parametrize("stage", ["static_analysis", "sandbox_trial"])
async def test_during_the_review(client: Client, evaluation: Evaluation, stage: str) -> None:
    stand_ins = StandIns(endless={stage})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await stand_ins.reached.wait()
        await workflows.stop(evaluation.evaluation_id, ORDER)
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)
    trials = [f"{evaluation.evaluation_id}-trial-1"] if stage == "sandbox_trial" else []
    assert [run for kill in stand_ins.kills for run in kill.run_ids] == trials


async def test_while_a_person_is_asked(client: Client, evaluation: Evaluation) -> None:
    stage = Stage.STATIC_ANALYSIS
    stand_ins = StandIns(reports={stage: [a_report(stage, a_finding(Severity.MEDIUM))]})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.AWAITING_APPROVAL)
        await workflows.stop(evaluation.evaluation_id, ORDER)
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)


async def test_while_it_waits_for_a_slot(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns()

    async with at_work(client, stand_ins, without(task_queues.EXECUTION)) as workflows:
        await workflows.start(evaluation)
        await waits_for(client, evaluation, "pod_execution")
        await workflows.stop(evaluation.evaluation_id, ORDER)
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)
    assert not stand_ins.executions


async def test_while_it_waits_for_a_slot_and_no_monitor_is_there(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns()

    async with at_work(client, stand_ins, without(task_queues.EXECUTION, task_queues.MONITOR)) as workflows:
        await workflows.start(evaluation)
        await waits_for(client, evaluation, "pod_execution")
        await workflows.stop(evaluation.evaluation_id, ORDER)
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)  # it never began, and Temporal will not let it


async def test_while_it_runs(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(endless={"pod_execution"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await workflows.stop(evaluation.evaluation_id, ORDER)
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)
    assert stand_ins.kills[0].run_ids == (f"{evaluation.evaluation_id}-execution",)


async def test_while_it_runs_and_nobody_serves_the_kill(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(endless={"pod_execution"})

    async with at_work(client, stand_ins, without(task_queues.MONITOR)) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await workflows.stop(evaluation.evaluation_id, ORDER)
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)  # its own worker has said so


async def test_while_its_worker_is_dead(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(deaf={"pod_execution"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await workflows.stop(evaluation.evaluation_id, ORDER)
        end = await end_of(client, evaluation)
        stand_ins.deaf.clear()

    assert_stopped(end, stand_ins)  # the killer has said so


async def test_cancelling_the_workflow_is_a_stop(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(endless={"pod_execution"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await handle_of(client, evaluation).cancel()
        end = await end_of(client, evaluation)

    assert end.cause is not None
    assert (end.status, end.cause.message) == (Status.STOPPED, "the workflow was cancelled")


async def test_cancelling_a_workflow_that_has_not_begun_is_a_stop(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns()

    async with at_work(client, stand_ins, frozenset()) as workflows:
        await workflows.start(evaluation)
        await handle_of(client, evaluation).cancel()
    async with at_work(client, stand_ins):
        end = await end_of(client, evaluation)

    assert end.status is Status.STOPPED
    assert [told.end for told in stand_ins.ends] == [end]


async def test_a_cancellation_on_top_of_a_stop_changes_nothing(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(endless={"pod_execution"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await workflows.stop(evaluation.evaluation_id, ORDER)
        await handle_of(client, evaluation).cancel()
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)


async def test_the_first_order_stays(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns()

    async with at_work(client, stand_ins, frozenset()) as workflows:
        await workflows.start(evaluation)
        await workflows.stop(evaluation.evaluation_id, ORDER)
        await workflows.stop(evaluation.evaluation_id, StopOrder(reason="me too"))
    async with at_work(client, stand_ins):
        end = await end_of(client, evaluation)

    assert_stopped(end, stand_ins)


async def test_a_receipt_that_came_before_the_stop_counts(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(deaf={"pod_execution"})

    async with at_work(client, stand_ins, without(task_queues.MONITOR)) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await workflows.stop(evaluation.evaluation_id, ORDER)
        await reaches(workflows, evaluation, Status.STOPPING)
        stand_ins.says_after_all = True
        stand_ins.deaf.clear()
        end = await end_of(client, evaluation)

    assert end.status is Status.COMPLETED


async def test_a_stop_does_not_wait_for_records(client: Client, evaluation: Evaluation) -> None:
    stand_ins = StandIns(endless={"pod_execution"}, away={"record_stop"})

    async with at_work(client, stand_ins) as workflows:
        await workflows.start(evaluation)
        await reaches(workflows, evaluation, Status.EXECUTING)
        await workflows.stop(evaluation.evaluation_id, ORDER)

        async def killed() -> bool:
            return bool(stand_ins.kills)

        await eventually(killed)
        end = await end_of(client, evaluation)

    assert end.status is Status.STOPPED
