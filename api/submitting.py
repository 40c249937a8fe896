"""How a submission becomes an evaluation: checked, kept as a row, and its workflow started, in this order.

The row is the acceptance. Before it everything may be refused, and nothing is left behind; after it the answer is 202,
whatever happens to Temporal in between, because the sweep starts the workflow of a row that has none
(docs/decisions/0003-the-row-is-the-acceptance.md).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import structlog
from pydantic import JsonValue

from api.gateway import Workflows
from api.problems import Problem
from domain.environments import Environment
from domain.errors import AnalyserFailed, PlatformError, StorageUnavailable, WorkflowsUnavailable
from domain.evaluation import EffectiveConfig, Evaluation, ScriptRef
from domain.findings import Finding, StageReport, Verdict
from domain.limits import MAX_SCRIPT_BYTES
from domain.model_catalogue import CatalogueModel
from domain.policy import Policy
from domain.results import canonical_json
from storage.evaluations import Evaluations
from storage.keys import Principal
from storage.records import EvaluationRecord, Idempotency, NewEvaluation, QueuePlace

START_SECONDS = 2.0
"""How long an answer waits for the start of its workflow. Well below the 5 s after which the sweep looks."""
MARK_SECONDS = 0.2
"""How long a started workflow is not marked as such, so that one transaction marks all that came meanwhile."""
PING_SECONDS = 5.0
"""What Temporal gets to answer. On a busy machine a second is too little, and it would be told to be away."""
ANSWERED_LATELY = 1.0
"""Seconds for which Temporal counts as being there after it has answered."""

log = structlog.get_logger()


class Checked(Protocol):
    """What the quick checks told."""

    @property
    def report(self) -> StageReport:
        """As a stage's report."""
        ...

    @property
    def missing_modules(self) -> tuple[str, ...]:
        """What the environment lacks."""
        ...


class Checker(Protocol):
    """Makes the quick checks, in killable children."""

    async def check(self, source: bytes, environment: str, within: timedelta) -> Checked:
        """Raises ParserTimeout, EnvironmentUnavailable, AnalyserFailed."""
        ...


class Asked(NamedTuple):
    """A submission whose shape is right."""

    model_id: str
    script: bytes
    config: EffectiveConfig
    retry_of: str | None = None


class Taken(NamedTuple):
    """An accepted evaluation, and where it waits."""

    record: EvaluationRecord
    place: QueuePlace


class Marks(StrEnum):
    """When it is noted that a workflow was started."""

    LATER = "later"
    """Soon after the answer, many at once."""
    AT_ONCE = "at_once"
    """Before the answer: nothing runs after it."""
    NEVER = "never"
    """By whoever starts it, which is somebody else."""


class Submitting:
    """Accepts submissions for everybody. Used as an async context manager."""

    def __init__(
        self,
        evaluations: Evaluations,
        workflows: Workflows,
        checker: Checker,
        *,
        environments: Mapping[str, Environment],
        models: Mapping[str, CatalogueModel],
        policy: Policy,
        check_within: timedelta,
        marks: Marks = Marks.LATER,
    ) -> None:
        self._evaluations, self._workflows, self._checker = evaluations, workflows, checker
        self._environments, self._models = environments, models
        self._policy, self._check_within = policy, check_within
        self._marks = marks
        self._answered_at = float("-inf")
        self._pinging: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()
        self._unmarked: list[str] = []
        self._marking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        if self._pinging is not None:
            self._pinging.cancel()
        if self._marking is not None:
            await self._marking

    async def accept(self, asked: Asked, principal: Principal, idempotency_key: str | None) -> Taken:
        """Keep a submission, or find what the same request has made: that is told whatever has changed since.

        Raises Problem, IdempotencyConflict, StorageUnavailable, WorkflowsUnavailable.
        """
        if principal.models is not None and asked.model_id in self._models and asked.model_id not in principal.models:
            raise Problem(403, "model_not_allowed", "This key may not evaluate this model.")
        repeats = None if idempotency_key is None else Idempotency(key=idempotency_key, request_digest=_digest(asked))
        if repeats is not None:
            earlier = await self._evaluations.repeated(principal.tenant, repeats)
            if earlier is not None:
                return Taken(earlier, await self._place(earlier))
        self._check_names(asked)
        await self._check_script(asked)
        await self._require_workflows()
        new = self._new(asked, principal)
        submission = await self._evaluations.submit(new, repeats)
        async with asyncio.TaskGroup() as group:  # neither raises: what was kept is accepted
            placing = group.create_task(self._place(submission.record))
            if submission.created:
                log.info("evaluation_accepted", evaluation_id=new.evaluation.evaluation_id)
                group.create_task(self._start(new.evaluation))
        return Taken(submission.record, placing.result())

    def _check_names(self, asked: Asked) -> None:
        if len(asked.script) > MAX_SCRIPT_BYTES:
            raise Problem(413, "script_too_large", f"The script is larger than {MAX_SCRIPT_BYTES} bytes.")
        if asked.model_id not in self._models:
            raise Problem(400, "unknown_model", "There is no such model here: GET /api/v1/models lists them.")
        if asked.config.environment not in self._environments:
            known = ", ".join(sorted(self._environments))
            raise Problem(400, "unknown_environment", f"There is no such environment here. There are: {known}.")

    async def _check_script(self, asked: Asked) -> None:
        """Refuse what the quick checks refuse. What they cannot tell in time is left to the stage."""
        try:
            checked = await self._checker.check(asked.script, asked.config.environment, self._check_within)
        except AnalyserFailed as late:
            log.warning("checks_left_to_the_stage", code=late.code)
            return
        rejecting = (each for each in checked.report.findings if self._policy.verdict_on(each) is Verdict.REJECTED)
        refusal = next(rejecting, None)
        if refusal is None:
            return
        if refusal.rule == "missing_module" and checked.missing_modules:
            raise self._missing(checked.missing_modules, refusal)
        raise Problem(400, refusal.rule, refusal.message, errors=[_told(refusal)])

    def _missing(self, modules: tuple[str, ...], refusal: Finding) -> Problem:
        module = modules[0]
        having = sorted(name for name, each in self._environments.items() if module in each.modules)
        told: dict[str, JsonValue] = {**_told(refusal), "module": module, "environments": list[JsonValue](having)}
        advice = f"The environment {having[0]!r} has it." if having else "No environment here has it."
        return Problem(400, "missing_module", f"The environment lacks the module {module!r}. {advice}", errors=[told])

    async def _require_workflows(self) -> None:
        """Accept nothing while Temporal is away. It is asked once for all who wait. Raises WorkflowsUnavailable."""
        if asyncio.get_running_loop().time() - self._answered_at < ANSWERED_LATELY:
            return
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self._ping())
        await asyncio.shield(self._pinging)  # whoever leaves takes the answer from nobody

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._workflows.ping()
        except TimeoutError:
            raise WorkflowsUnavailable("Temporal does not answer") from None
        self._answered_at = asyncio.get_running_loop().time()

    @property
    def policy(self) -> Policy:
        """What judges the evaluations that are accepted here."""
        return self._policy

    def _new(self, asked: Asked, principal: Principal) -> NewEvaluation:
        evaluation = Evaluation(
            evaluation_id=_new_id(),
            tenant=principal.tenant,
            model_id=asked.model_id,
            script=ScriptRef(sha256=hashlib.sha256(asked.script).hexdigest(), size=len(asked.script)),
            config=asked.config,
            policy=self._policy,
            queued_at=datetime.now(UTC),
        )
        return NewEvaluation(evaluation=evaluation, script=asked.script, retry_of=asked.retry_of)

    async def _start(self, evaluation: Evaluation) -> None:
        """Start the workflow, or leave that to the sweep: the evaluation is accepted either way."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._workflows.start(evaluation)
        except (TimeoutError, WorkflowsUnavailable) as error:
            self._answered_at = float("-inf")
            code = error.code if isinstance(error, PlatformError) else "timeout"
            log.warning("start_left_to_the_sweep", evaluation_id=evaluation.evaluation_id, code=code)
            return
        self._answered_at = asyncio.get_running_loop().time()
        match self._marks:
            case Marks.LATER:
                self._unmarked.append(evaluation.evaluation_id)
                if self._marking is None or self._marking.done():
                    self._marking = asyncio.create_task(self._mark_later())
            case Marks.AT_ONCE:
                await self._mark(evaluation.evaluation_id)
            case Marks.NEVER:
                pass

    async def _mark_later(self) -> None:
        while self._unmarked:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), MARK_SECONDS)
            started, self._unmarked = self._unmarked, []
            await self._mark(*started)

    async def _mark(self, *started: str) -> None:
        """Spare the sweep what was started. A lost mark costs one more start, of no effect."""
        try:
            await self._evaluations.mark_started(*started)
        except StorageUnavailable as away:
            log.warning("marks_lost", count=len(started), code=away.code)

    async def _place(self, record: EvaluationRecord) -> QueuePlace:
        try:
            return await self._evaluations.queue_place(record)
        except StorageUnavailable:
            now = datetime.now(UTC)
            return QueuePlace(position=None, as_of=now, approximate=True, reason="the queue cannot be read just now")


def _new_id() -> str:
    """130 random bits, so that nobody guesses a foreign one."""
    return "eval_" + base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]


def _digest(asked: Asked) -> str:
    """What makes two requests the same: their meaning, not their bytes."""
    words: dict[str, JsonValue] = {
        "model_id": asked.model_id,
        "script": hashlib.sha256(asked.script).hexdigest(),
        "config": asked.config.model_dump(mode="json"),
        "retry_of": asked.retry_of,
    }
    return hashlib.sha256(canonical_json(words)).hexdigest()


def _told(finding: Finding) -> dict[str, JsonValue]:
    return finding.model_dump(mode="json", exclude_none=True)
