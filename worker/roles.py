"""What a worker process can be: for each role its task queue, what it performs there, and how much of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from domain.values import Value
from workflows import task_queues

Slots = Literal["review_slots", "execution_slots", "record_slots", "kill_slots"]


class Role(StrEnum):
    """Whom a process works as. One process may have several on a laptop; elsewhere each has its own rights."""

    ORCHESTRATOR = "orchestrator"
    """Decides what comes next. Sees no script and needs no credentials."""
    VALIDATION = "validation"
    """Reviews scripts that nobody trusts yet, trials included."""
    EXECUTION = "execution"
    """Runs what the review let pass. The only one with the models' credentials."""
    RECORDS = "records"
    """Writes down what the workflows decide, and sweeps up what was left lying."""
    INTAKE = "intake"
    """Takes accepted evaluations from a queue of AWS and starts their workflows. Sees no script either."""
    MONITOR = "monitor"
    """Kills what was told to stop and reaps what nobody owns. Never in the process whose runs it watches."""


class Work(Value):
    """What a role takes from its queue."""

    task_queue: str | None = None
    """None: it takes nothing from Temporal."""
    activities: tuple[str, ...] = ()
    """Their names in Temporal. None: the role performs workflows."""
    slots: Slots | None = None
    """The setting that says how many at once. Fixed, so that a queue shows what waits; None with workflows."""


WORK: Mapping[Role, Work] = MappingProxyType(
    {
        Role.ORCHESTRATOR: Work(task_queue=task_queues.WORKFLOWS),
        Role.VALIDATION: Work(
            task_queue=task_queues.VALIDATION,
            activities=("quick_checks", "static_analysis", "sandbox_trial"),
            slots="review_slots",
        ),
        Role.EXECUTION: Work(task_queue=task_queues.EXECUTION, activities=("pod_execution",), slots="execution_slots"),
        Role.RECORDS: Work(
            task_queue=task_queues.RECORDS,
            activities=("record_status", "record_stop", "conclude"),
            slots="record_slots",
        ),
        Role.INTAKE: Work(),
        Role.MONITOR: Work(task_queue=task_queues.MONITOR, activities=("kill_run",), slots="kill_slots"),
    }
)
"""Every role. What is performed nowhere would wait for ever: a test compares this with what the workflow asks for."""
