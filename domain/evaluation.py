"""An evaluation as it is asked for, as it is in force, and as it ended."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from domain.findings import Review, Verdict
from domain.lifecycle import Stage, Status
from domain.limits import BOUNDS, MAX_PARAMS_BYTES, MAX_TAGS, ModelLimits, OperatorLimits, RunLimits
from domain.outcomes import RunOutcome
from domain.policy import Policy
from domain.values import Value

EVALUATION_ID = re.compile(r"eval_[a-z2-7]{26}")
"""The id of an evaluation is also the id of its workflow. Random: a foreign id cannot be guessed."""

Positive = Annotated[int, Field(gt=0, strict=True)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Asked(BaseModel):
    """What a person sends: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AskedLimits(_Asked):
    """`config.limits`: each absent key takes the operator's default."""

    cpu_seconds: Positive | None = None
    memory_bytes: Positive | None = None
    processes: Positive | None = None
    open_files: Positive | None = None
    output_bytes: Positive | None = None
    disk_bytes: Positive | None = None
    result_bytes: Positive | None = None


class AskedModelUse(_Asked):
    """`config.model`."""

    max_calls: Positive | None = None
    parallel: Positive | None = None


class EvaluationConfig(_Asked):
    """`config` of a submission. Every key is optional."""

    timeout: Positive | None = None
    """Seconds of wall clock for the execution."""
    environment: Name = "default"
    params: dict[str, JsonValue] = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0, lt=1 << 32, strict=True)] = 0
    limits: AskedLimits = AskedLimits()
    model: AskedModelUse = AskedModelUse()
    tags: dict[Name, Annotated[str, Field(max_length=200)]] = Field(default_factory=dict, max_length=MAX_TAGS)

    @field_validator("params")
    @classmethod
    def _params_are_names_and_small(cls, params: dict[str, Any]) -> dict[str, Any]:
        if any(not name.isidentifier() or name == "model" for name in params):
            raise ValueError("params must have Python identifiers other than 'model' as keys")
        if len(json.dumps(params)) > MAX_PARAMS_BYTES:
            raise ValueError(f"params must be at most {MAX_PARAMS_BYTES} bytes of JSON")
        return params


class EffectiveConfig(Value):
    """The configuration in force: what was asked for, or the default. Echoed to the submitter."""

    timeout: int = Field(default=BOUNDS["timeout"].default, gt=0)
    environment: str = "default"
    params: dict[str, JsonValue] = Field(default_factory=dict)
    seed: int = 0
    limits: RunLimits = RunLimits()
    model: ModelLimits = ModelLimits()
    tags: dict[str, str] = Field(default_factory=dict)


def settle(config: EvaluationConfig, operator: OperatorLimits) -> EffectiveConfig:
    """What `config` amounts to here. Raises LimitExceeded."""

    def settled(name: str, asked: int | None) -> int:
        return operator.settle(name, asked)

    limits = {name: settled(name, asked) for name, asked in config.limits.model_dump().items()}
    model = {name: settled(name, getattr(config.model, name, None)) for name in ModelLimits.model_fields}
    return EffectiveConfig(
        timeout=settled("timeout", config.timeout),
        environment=config.environment,
        params=config.params,
        seed=config.seed,
        limits=RunLimits(**limits),
        model=ModelLimits(**model),
        tags=config.tags,
    )


class ScriptRef(Value):
    """A script by content: workflows carry this and never the script."""

    sha256: Digest
    size: int = Field(ge=0)
    """Bytes."""


class Evaluation(Value):
    """An accepted evaluation: the input of its workflow."""

    evaluation_id: str = Field(pattern=f"^{EVALUATION_ID.pattern}$")
    tenant: str
    model_id: str
    script: ScriptRef
    config: EffectiveConfig
    policy: Policy = Policy()
    queued_at: datetime


class Cause(Value):
    """Why an evaluation did not complete. Every terminal status but completed has one."""

    stage: Stage | None
    """None where no stage was at work, as in a queue."""
    code: str = Field(max_length=80)
    """A run outcome, a platform error's code, or one of the review's codes."""
    message: str = Field(max_length=500)
    evidence: str = Field(default="", max_length=1000)
    retryable: bool = False
    """Whether the same evaluation may end otherwise when it is submitted again."""


class StopOrder(Value):
    """Who wants an evaluation stopped, and why: whatever a signal carried, made harmless."""

    reason: str = Field(default="", max_length=500)
    by: str = Field(default="", max_length=200)


class StatusReport(Value):
    """What the status query of a workflow answers."""

    evaluation_id: str
    status: Status
    stage: Stage | None = None
    verdict: Verdict | None = None
    review: Review = Review()
    findings_digest: str = ""
    stop: StopOrder | None = None
    cause: Cause | None = None


class EvaluationEnd(Value):
    """How an evaluation ended: the result of its workflow, and the last entry of its record."""

    evaluation_id: str
    status: Status
    cause: Cause | None = None
    outcome: RunOutcome | None = None
    """None where the script was never executed."""
    verdict: Verdict | None = None
    result_digest: str | None = None
