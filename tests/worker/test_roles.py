"""Every activity that the workflow asks for is performed by exactly one role, on the queue where it is asked for."""

from domain.limits import BOUNDS
from worker.roles import WORK, Role
from worker.settings import WorkerSettings
from workflows import task_queues
from workflows.activity_options import OPTIONS


def test_every_role_has_its_work() -> None:
    assert set(WORK) == set(Role)


def test_every_queue_is_served_by_one_role() -> None:
    assert sorted(work.task_queue for work in WORK.values() if work.task_queue) == sorted(task_queues.ALL)


def test_every_activity_is_performed_where_the_workflow_asks_for_it() -> None:
    asked = {name: options.get("task_queue") for name, options in OPTIONS.items()}
    performed = {name: work.task_queue for work in WORK.values() for name in work.activities}

    assert performed == asked


def test_how_many_at_once_is_a_setting_of_each_role_with_activities() -> None:
    for work in WORK.values():
        assert (work.slots is not None) == bool(work.activities)
        assert work.slots is None or work.slots in WorkerSettings.model_fields


def test_a_grace_is_shorter_than_the_longest_run_so_that_a_deploy_ends() -> None:
    assert WorkerSettings(database_url="sqlite:///x").grace_seconds < BOUNDS["timeout"].maximum
