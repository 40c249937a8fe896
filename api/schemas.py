"""The shapes of requests and answers: what the HTTP interface promises."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from domain.evaluation import Cause, EffectiveConfig, EvaluationConfig, ScriptRef, StopOrder
from domain.findings import Finding, Verdict
from domain.journal import EntryKind
from domain.lifecycle import Stage, Status
from domain.outcomes import RunOutcome
from domain.policy import Policy
from domain.runs import Isolation, ModelUse, Usage

EvaluationId = Annotated[str, Field(description="`eval_` and 26 characters; also the id of the workflow in Temporal.")]
Cursor = Annotated[str, Field(max_length=200, description="Opaque. Good for the list that gave it.")]
ASIS = "Stems from the script: treat it as hostile text."


class _Sent(BaseModel):
    """What a client sends: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Answer(BaseModel):
    """What a client gets: exactly these keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SubmissionRequest(_Sent):
    """A script to be evaluated."""

    model_id: Annotated[str, Field(min_length=1, max_length=100)]
    script: Annotated[str, Field(min_length=1, description="Python source, at most 256 KiB in UTF-8.")]
    config: EvaluationConfig = EvaluationConfig()


class StopRequest(_Sent):
    """Why an evaluation is to be stopped."""

    reason: Annotated[str, Field(max_length=500)] = ""


class ApprovalRequest(_Sent):
    """A person's approval, best of the findings that were seen."""

    findings_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class RejectionRequest(_Sent):
    """A person's refusal."""

    reason: Annotated[str, Field(max_length=500)] = ""


class Queue(_Answer):
    """How `queue_position` came about."""

    as_of: datetime
    approximate: bool
    reason: str


class Links(_Answer):
    """Where to go on."""

    self: str
    status: str
    result: str
    logs: str
    transcript: str
    events: str
    ws: str
    stop: str
    web_ui: str | None = None
    """The workflow in the Temporal Web UI, where the operator has said where that is."""


class Accepted(_Answer):
    """An evaluation was accepted, or is the one that the same Idempotency-Key had made."""

    evaluation_id: EvaluationId
    status: Status
    queue_position: int | None
    queue: Queue
    effective_config: EffectiveConfig
    retry_of: str | None = None
    links: Links


class StatusAnswer(_Answer):
    """Where an evaluation is, and why."""

    evaluation_id: EvaluationId
    status: Status
    stage: Stage | None
    verdict: Verdict | None
    outcome: RunOutcome | None
    cause: Cause | None
    queue_position: int | None
    queue: Queue
    findings: tuple[Finding, ...]
    findings_digest: str
    """What an approval may name."""
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    source: Literal["record", "workflow"]
    """Who knew best: the record, or the workflow where that is further on. An end is told by the record alone."""


class EvaluationSummary(_Answer):
    """An evaluation in a list."""

    evaluation_id: EvaluationId
    status: Status
    stage: Stage | None
    verdict: Verdict | None
    outcome: RunOutcome | None
    cause: Cause | None
    model_id: str
    environment: str
    tags: dict[str, str]
    queued_at: datetime
    ended_at: datetime | None
    retry_of: str | None
    deleted_at: datetime | None


class EvaluationPage(_Answer):
    """Evaluations, the newest first."""

    evaluations: tuple[EvaluationSummary, ...]
    next_cursor: str | None
    """None where there are no more."""


class EvaluationAnswer(EvaluationSummary):
    """Everything that the record of an evaluation knows, but its result."""

    script: ScriptRef
    effective_config: EffectiveConfig
    policy: Policy
    queue_position: int | None
    queue: Queue
    findings: tuple[Finding, ...]
    findings_digest: str
    isolation: Isolation | None
    """As observed inside the box before the script's first line; None where it was not executed."""
    started_at: datetime | None
    updated_at: datetime
    stop: StopOrder | None
    links: Links


class ResultAnswer(_Answer):
    """What a script claims, with what vouches for how it came about."""

    evaluation_id: EvaluationId
    status: Status
    outcome: RunOutcome | None
    verdict: Verdict | None
    cause: Cause | None
    has_result: bool
    result: Annotated[JsonValue, Field(description=f"The script's own claim. {ASIS}")]
    result_digest: str | None
    """SHA-256 of the result as canonical JSON."""
    script: ScriptRef
    environment_digest: str | None
    isolation: Isolation | None
    usage: Usage | None
    model_use: ModelUse | None
    """What was asked of the model, who answered, and the digest of the transcript."""
    exit_code: int | None
    signal: int | None
    message: Annotated[str, Field(description=ASIS)]
    traceback: Annotated[str, Field(description=ASIS)]
    findings: tuple[Finding, ...]


class LogLine(_Answer):
    """A piece of a script's output, or words of ours about it (stream `airlock`)."""

    at: datetime
    run: str
    stage: Stage | None
    stream: str
    text: Annotated[str, Field(description=ASIS)]


class LogPage(_Answer):
    """Output, the oldest first."""

    evaluation_id: EvaluationId
    entries: tuple[LogLine, ...]
    next_cursor: str
    """Give it as `after` to read on, now or later."""
    complete: bool
    """Whether nothing more will come."""


class ModelCallEntry(_Answer):
    """A call of the model: what was asked, what was answered, how long it took."""

    at: datetime
    run: str
    stage: Stage | None
    call: Annotated[dict[str, JsonValue], Field(description=ASIS)]


class TranscriptPage(_Answer):
    """Model calls in the order in which they ended."""

    evaluation_id: EvaluationId
    calls: tuple[ModelCallEntry, ...]
    next_cursor: str
    complete: bool


class EventData(_Answer):
    """The data of an event; its id is a cursor to resume from, its name is `kind`."""

    evaluation_id: EvaluationId
    kind: EntryKind
    at: datetime
    run: str
    stage: Stage | None
    payload: Annotated[dict[str, JsonValue], Field(description=ASIS)]


class ExportAnswer(_Answer):
    """Everything that is kept of an evaluation."""

    format: Literal["airlock-export-1"]
    exported_at: datetime
    evaluation: EvaluationAnswer
    script: Annotated[str | None, Field(description=f"None where it was deleted. {ASIS}")]
    result: ResultAnswer | None
    """None where it has not ended, or was deleted."""
    journal: tuple[EventData, ...]


class StopAccepted(_Answer):
    """A stop was journaled: nothing more will begin, and what runs is being killed."""

    evaluation_id: EvaluationId
    status: Status
    accepted: bool
    """False where an earlier stop had been accepted."""
    confirmed: bool
    """Whether everything is confirmed dead."""
    signalled: bool
    """Whether the workflow has heard of it already. A run's worker and the monitor look in the journal anyway."""
    stop: StopOrder


class Decided(_Answer):
    """A person's decision went to the workflow."""

    evaluation_id: EvaluationId
    status: Status
    decision: Literal["approved", "rejected"]


class EnvironmentAnswer(_Answer):
    """What scripts may import."""

    name: str
    description: str
    digest: str
    packages: tuple[dict[str, str], ...]
    modules: tuple[str, ...]


class Environments(_Answer):
    """The environments of this installation."""

    environments: tuple[EnvironmentAnswer, ...]


class ModelAnswer(_Answer):
    """A model that may be evaluated."""

    model_id: str
    provider: str


class Models(_Answer):
    """The models that this key may name."""

    models: tuple[ModelAnswer, ...]


class LimitAnswer(_Answer):
    """A limit: what applies when nothing is asked for, and the most that may be asked for."""

    default: int
    maximum: int
    unit: str
    why: str


class InForce(_Answer):
    """What is in force here."""

    limits: dict[str, LimitAnswer]
    max_script_bytes: int
    max_request_bytes: int
    policy: Policy
    rate_limit: str
    streams_per_key: int
    stream_seconds: float


class Health(_Answer):
    """Whether a process can serve."""

    status: Literal["ok"]


class ProblemAnswer(BaseModel):
    """RFC 9457, with a code for programs and an id to find it in the logs."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, Any]] | None = None
