"""What is stored about an evaluation, as it goes in and as it comes out."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import Field, JsonValue

from domain.evaluation import Cause, EffectiveConfig, Evaluation, ScriptRef, StopOrder
from domain.findings import Finding, Verdict
from domain.lifecycle import Stage, Status
from domain.outcomes import RunOutcome
from domain.policy import Policy
from domain.runs import Attempt, Isolation, ModelUse, Usage
from domain.values import Value


class BadCursor(ValueError):
    """A cursor that no page has given."""


class IdempotencyConflict(Exception):
    """An idempotency key was used before, for another request."""


class NewEvaluation(Value):
    """An evaluation to be accepted, with its script."""

    evaluation: Evaluation
    script: bytes
    retry_of: str | None = None
    """The evaluation that this one repeats."""


class Idempotency(Value):
    """Makes a repeated submission one evaluation. `request_digest` tells whether it is the same request."""

    key: str
    request_digest: str


class StatusChange(Value):
    """A status to be reached. What is None or empty leaves the row as it is, except for the stage."""

    evaluation_id: str
    status: Status
    stage: Stage | None = None
    at: datetime
    verdict: Verdict | None = None
    findings_digest: str = ""
    cause: Cause | None = None
    findings: tuple[Finding, ...] = ()


class StopAnswer(StrEnum):
    """What became of the order to stop."""

    ACCEPTED = "accepted"
    ALREADY_ORDERED = "already_ordered"
    ALREADY_ENDED = "already_ended"
    """It has ended, or a receipt that tells of no stop was journaled before."""


class RecordSummary(Value):
    """What a run tried, with the attempts themselves only as far as they are worth a row."""

    attempts: tuple[Attempt, ...] = ()
    """The first ones, refused before allowed."""
    kinds: dict[str, int] = Field(default_factory=dict)
    """How many of each kind, repetitions included."""
    refused: int = 0
    allowed_reads: int = 0
    dropped: int = 0
    complete: bool = False


class StoredReport(Value):
    """What is kept of an execution's report. Message, traceback and result stem from the script."""

    run_id: str
    outcome: RunOutcome
    exit_code: int | None = None
    signal: int | None = None
    message: str = ""
    traceback: str = ""
    isolation: Isolation
    usage: Usage = Usage()
    model_use: ModelUse = ModelUse()
    environment_digest: str | None = None
    has_result: bool = False
    result_digest: str | None = None
    """SHA-256 of the result as canonical JSON."""
    result_size: int = 0
    """Bytes of it."""
    result_in_blob: bool = False
    result: JsonValue = None
    """Where it is small enough to be here."""
    record: RecordSummary = RecordSummary()
    findings: tuple[Finding, ...] = ()
    """What the behaviour during the execution showed."""
    receipt: bool = True
    """Whether the runner itself told all this; otherwise its backend did."""
    after_stop: bool = False
    """A stop was journaled first, so that whatever the run said of its end does not count."""


class ListedEvaluation(Value):
    """What a list tells of an evaluation: little, because a page has many."""

    evaluation_id: str
    status: Status
    stage: Stage | None = None
    model_id: str
    config: EffectiveConfig
    queued_at: datetime
    ended_at: datetime | None = None
    verdict: Verdict | None = None
    cause: Cause | None = None
    outcome: RunOutcome | None = None
    retry_of: str | None = None
    deleted_at: datetime | None = None


class EvaluationRecord(ListedEvaluation):
    """Everything that the row of an evaluation knows."""

    tenant: str
    script: ScriptRef
    policy: Policy
    updated_at: datetime
    started_at: datetime | None = None
    """When it became executing."""
    findings: tuple[Finding, ...] = ()
    """Of the review, and after them those of the execution."""
    findings_digest: str = ""
    """Over the findings of the review: what an approval refers to."""
    report: StoredReport | None = None
    stop: StopOrder | None = None
    last_seq: int
    """The last entry of its journal."""


class Submission(NamedTuple):
    """An accepted evaluation; not created where an earlier request with the same key had done it."""

    record: EvaluationRecord
    created: bool


class Page(NamedTuple):
    """Some evaluations; `next_cursor` is None where there are no more."""

    records: tuple[ListedEvaluation, ...]
    next_cursor: str | None


class QueuePlace(Value):
    """Where an evaluation waits for a slot."""

    position: int | None
    """1 is next. None where it does not wait for a slot."""
    as_of: datetime
    approximate: bool
    """Rows trail their workflows a little, and workers may take two in another order."""
    reason: str
