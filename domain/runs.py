"""One run of a script in a sandbox: what is asked for, what was seen, what it left."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, JsonValue

from domain.findings import Finding
from domain.limits import RunLimits
from domain.outcomes import RunOutcome
from domain.values import Value


class Backend(StrEnum):
    """What can run a script."""

    LANDLOCK = "landlock"
    BUBBLEWRAP = "bubblewrap"
    GVISOR = "gvisor"
    KUBERNETES = "kubernetes"


class RunPurpose(StrEnum):
    """Why a script is run."""

    TRIAL = "trial"
    EXECUTION = "execution"


class Isolation(Value):
    """How strong the sandbox was, as observed inside it before the script's first line."""

    backend: Backend
    level: int = Field(ge=0, le=4)
    checks: dict[str, bool] = Field(default_factory=dict)
    """Each control that was asked for, and whether it was in force."""
    details: dict[str, str] = Field(default_factory=dict)
    """What was read to know it (uid map, seccomp mode, limits)."""


class Attempt(Value):
    """Something a script tried, as seen from outside it."""

    kind: str = Field(max_length=40)
    """open, write, exec, socket, connect, bind, process, signal, namespace, ptrace, ..."""
    target: str = Field(default="", max_length=300)
    """A path, an address, a process id. Strings are as observed at entry: the script could change them later."""
    allowed: bool
    at_ms: int = 0
    """Milliseconds since the script started."""
    count: int = 1


class RunRecord(Value):
    """What a run tried. The base of behavioural analysis."""

    attempts: tuple[Attempt, ...] = ()
    allowed_reads: int = 0
    """Opened below allowed roots: counted, not kept."""
    dropped: int = 0
    """Attempts that could not be kept. More than none makes a trial inconclusive."""
    complete: bool = False
    """Whether the recorder saw the run from its first instruction to its last."""


class Usage(Value):
    """What a run used up."""

    wall_ms: int = 0
    cpu_ms: int = 0
    peak_memory_bytes: int = 0
    output_bytes: int = 0
    """Written by the script, kept or not."""
    output_truncated: bool = False


class ModelUse(Value):
    """What a run asked of its model."""

    provider: str | None = None
    """Who answered. None where nothing was asked."""
    calls: int = 0
    failed_calls: int = 0
    refused_calls: int = 0
    """Calls over a budget."""
    prompt_bytes: int = 0
    answer_bytes: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    transcript_sha256: str | None = None
    """Over the calls that were made; those that were refused are no part of it."""


class RunRequest(Value):
    """What a sandbox is asked to run."""

    run_id: str
    """`<evaluation id>-trial-<n>` or `<evaluation id>-execution`: deterministic, so that a kill finds it."""
    purpose: RunPurpose
    script: bytes
    model_id: str
    environment: str
    params: dict[str, JsonValue] = Field(default_factory=dict)
    seed: int = 0
    timeout_seconds: float = Field(gt=0)
    limits: RunLimits = RunLimits()
    parallel: int = 8
    """Model calls in flight at once."""


class RunReport(Value):
    """What came of a run."""

    run_id: str
    outcome: RunOutcome
    exit_code: int | None = None
    signal: int | None = None
    reached_script: bool = True
    """False where the run ended before the script's first line."""
    message: str = Field(default="", max_length=1000)
    """The exception's last line or the limit's words. Stems from the script: escape it."""
    traceback: str = Field(default="", max_length=4000)
    has_result: bool = False
    result: JsonValue = None
    """The script's own claim."""
    isolation: Isolation
    record: RunRecord = RunRecord()
    usage: Usage = Usage()
    environment_digest: str | None = None
    receipt: bool = True
    """Whether the runner's own receipt arrived; without it the backend's evidence decided."""


class ExecutionReport(Value):
    """A run report as it travels through workflow history: small, with digests instead of contents."""

    outcome: RunOutcome
    message: str = Field(default="", max_length=500)
    exit_code: int | None = None
    findings: tuple[Finding, ...] = ()
    """What behavioural analysis noticed. A rejecting one has ended the run."""
    result_digest: str | None = None
    """SHA-256 of the result as canonical JSON; None where there is none."""
    isolation_level: int = 0
