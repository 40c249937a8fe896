"""One table: every activity has a queue, bounds and bounded attempts."""

import pytest

from activities.pod_execution import PodExecution
from activities.quick_checks import QuickChecks
from activities.record_keeping import RecordKeeping
from activities.run_kill import RunKill
from activities.sandbox_trial import SandboxTrial
from activities.static_analysis import StaticAnalysis
from domain.limits import BOUNDS
from workflows import task_queues
from workflows.activity_options import HEARTBEAT, OPTIONS, execution_deadline, execution_options

KINDS = (QuickChecks, StaticAnalysis, SandboxTrial, PodExecution, RecordKeeping, RunKill)
NAMES = {name for kind in KINDS for name in dir(kind) if hasattr(getattr(kind, name), "__temporal_activity_definition")}
LONGEST = BOUNDS["timeout"].maximum


def test_every_activity_has_its_row() -> None:
    assert set(OPTIONS) == NAMES


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_nothing_goes_on_for_ever(name: str) -> None:
    options = execution_options(LONGEST) if name == "pod_execution" else OPTIONS[name]
    retries = options.get("retry_policy")

    assert options.get("task_queue") in task_queues.ALL
    assert options.get("start_to_close_timeout") is not None
    assert retries is not None
    assert retries.maximum_attempts > 0 or options.get("schedule_to_close_timeout") is not None
    assert options.get("schedule_to_start_timeout") or options.get("schedule_to_close_timeout")


def test_whatever_is_long_has_a_heartbeat() -> None:
    bounds = {name: OPTIONS[name].get("start_to_close_timeout") or execution_deadline(LONGEST) for name in OPTIONS}
    long = {name for name, bound in bounds.items() if bound > HEARTBEAT}

    assert {name for name in OPTIONS if "heartbeat_timeout" in OPTIONS[name]} == long


def test_nothing_untrusted_shares_a_queue_with_records_or_kills() -> None:
    queues = {name: OPTIONS[name].get("task_queue") for name in OPTIONS}

    assert {name for name, queue in queues.items() if queue == task_queues.VALIDATION} == {
        "quick_checks",
        "static_analysis",
        "sandbox_trial",
    }
    assert [name for name, queue in queues.items() if queue == task_queues.EXECUTION] == ["pod_execution"]
    assert [name for name, queue in queues.items() if queue == task_queues.MONITOR] == ["kill_run"]


def test_an_execution_gets_its_own_time_and_ours() -> None:
    assert execution_options(300).get("start_to_close_timeout") == execution_deadline(300)
    assert execution_deadline(300).total_seconds() == 300 + 180
