"""The one door through which an untrusted script is run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from domain.model_calls import ModelAnswer, ModelAnswerer, ModelRequest
from domain.runs import Attempt, Backend, Isolation, RunReport, RunRequest
from domain.values import Value


class Began(Value):
    """The self-check is over and the script's interpreter starts now."""

    frame: int
    isolation: Isolation
    environment_digest: str


class Printed(Value):
    """Up to one line of output, cut at 8 KiB; control characters are as the script wrote them."""

    frame: int
    stream: Literal["stdout", "stderr"]
    text: str


class Asked(Value):
    """A model call that has been answered."""

    frame: int
    request: ModelRequest
    answer: ModelAnswer
    milliseconds: int


class Tried(Value):
    """The recorder saw an attempt."""

    frame: int
    attempt: Attempt


RunEvent = Began | Printed | Asked | Tried
"""What is told while a run goes on. `frame` is unique within a run and grows: journals use it to keep an event once."""

RunWatcher = Callable[[RunEvent], Awaitable[None]]
"""Told of each event in order. Its slowness slows the run down; it never loses an event. Its exceptions end the run."""


class Sandbox(Protocol):
    """Runs one untrusted script. However the script ends is a RunOutcome; an exception means that we failed.

    Outcomes (`RunReport.outcome`), all of them values:
        completed            the result was returned (`has_result`), or a plain program ended with exit code 0
        exception            an exception reached the top of the script: `message` and `traceback` say which
        nonzero_exit         a plain program ended with another exit code
        signalled            a signal that no limit explains
        early_exit           the process was gone before `evaluate_model` had returned
        timed_out            wall clock; the whole tree was killed
        cpu_limit, memory_limit, process_limit, output_limit, disk_limit, result_limit
        invalid_result       what was returned is not JSON
        forbidden_operation  a system call that no script may make
        stopped              `stop` was set, or `kill` ended it; the report holds what there was until then

    Errors, all of them ours, none of them a judgement about the script:
        SandboxUnavailable      a control is not in force: nothing of the script has run
        EnvironmentUnavailable  the environment is not there
        ImageUnavailable, Unschedulable   the pod could not start
        NodeLost, RunnerLost    the run ended and nothing tells how; it may have had effects

    Not an error: output that was cut (`usage.output_truncated`), a record that is incomplete (`record.complete`), a
    result that lies. Cancelling `run` kills every process of the run, waits until they are gone, and raises
    CancelledError: whoever cancels may rely on it that nothing lives on.
    """

    @property
    def backend(self) -> Backend:
        """Which backend this is."""
        ...

    async def run(
        self, request: RunRequest, *, answer: ModelAnswerer, watch: RunWatcher, stop: asyncio.Event
    ) -> RunReport:
        """Run `request.script` once. Returns after every process of the run is dead and its files are gone."""
        ...

    async def kill(self, run_id: str) -> bool:
        """End whatever is left of a run that any worker of this backend has started. Idempotent.

        Returns whether something was alive; in either case nothing is any more. Raises StopUnconfirmed.
        """
        ...
