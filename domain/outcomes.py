"""How a script ended: a value, never an exception, and never retried."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from domain.lifecycle import Status


class RunOutcome(StrEnum):
    """How a run of a script ended. All of these are the script's own fate, or a person's will."""

    COMPLETED = "completed"
    """`evaluate_model` returned JSON, or a plain program ended with exit code 0."""
    EXCEPTION = "exception"
    """An exception reached the top of the script."""
    NONZERO_EXIT = "nonzero_exit"
    """A plain program ended with an exit code other than 0."""
    SIGNALLED = "signalled"
    """A signal ended the script, and no limit explains it."""
    TIMED_OUT = "timed_out"
    """The wall-clock time was used up."""
    CPU_LIMIT = "cpu_limit"
    MEMORY_LIMIT = "memory_limit"
    PROCESS_LIMIT = "process_limit"
    OUTPUT_LIMIT = "output_limit"
    DISK_LIMIT = "disk_limit"
    RESULT_LIMIT = "result_limit"
    """The result is larger or deeper than allowed."""
    INVALID_RESULT = "invalid_result"
    """`evaluate_model` returned something that is not JSON."""
    EARLY_EXIT = "early_exit"
    """The process ended, with whatever code, before `evaluate_model` had returned."""
    FORBIDDEN_OPERATION = "forbidden_operation"
    """The sandbox ended the script for a system call that no script may make."""
    STOPPED = "stopped"
    """An emergency stop ended it."""


def status_after(outcome: RunOutcome) -> Status:
    """The terminal status of an evaluation whose execution ended with `outcome`."""
    match outcome:
        case RunOutcome.COMPLETED:
            return Status.COMPLETED
        case RunOutcome.TIMED_OUT:
            return Status.TIMED_OUT
        case RunOutcome.STOPPED:
            return Status.STOPPED
        case (
            RunOutcome.EXCEPTION
            | RunOutcome.NONZERO_EXIT
            | RunOutcome.SIGNALLED
            | RunOutcome.CPU_LIMIT
            | RunOutcome.MEMORY_LIMIT
            | RunOutcome.PROCESS_LIMIT
            | RunOutcome.OUTPUT_LIMIT
            | RunOutcome.DISK_LIMIT
            | RunOutcome.RESULT_LIMIT
            | RunOutcome.INVALID_RESULT
            | RunOutcome.EARLY_EXIT
            | RunOutcome.FORBIDDEN_OPERATION
        ):
            return Status.FAILED
        case _:
            assert_never(outcome)
