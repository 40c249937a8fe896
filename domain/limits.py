"""Every limit of a run: its default, the most an operator allows, and how the two meet what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from domain.values import Value

MAX_SCRIPT_BYTES = 256 * 1024
"""A larger script is refused with 413."""
MAX_REQUEST_BYTES = 1024 * 1024
"""A larger request body is refused before it has been read whole."""
MAX_PARAMS_BYTES = 64 * 1024
"""`config.params`, as JSON."""
MAX_TAGS = 20
MAX_MODEL_PARALLEL = 16
"""Model calls of one run in flight at once."""
INLINE_RESULT_BYTES = 8 * 1024
"""A larger result is a blob, and only its digest is in the row."""
MAX_RESULT_DEPTH = 64
"""Nesting of a result."""
MAX_JOURNAL_BYTES = 64 * 1024 * 1024
"""What one evaluation may append to its journal."""
TRIAL_TIMEOUT_SECONDS = 20
"""A trial gets the smaller of this and the evaluation's own timeout."""


class Bound(Value):
    """One limit: what applies when nothing is asked for, and the most that may be asked for."""

    default: int = Field(gt=0)
    maximum: int = Field(gt=0)
    unit: str
    why: str

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.default > self.maximum:
            raise ValueError("a default must not exceed its maximum")
        return self


BOUNDS: Mapping[str, Bound] = MappingProxyType(
    {
        "timeout": Bound(default=300, maximum=3600, unit="s", why="wall clock of the execution"),
        "cpu_seconds": Bound(default=300, maximum=3600, unit="s", why="processor time of a process"),
        "memory_bytes": Bound(default=512 << 20, maximum=4 << 30, unit="bytes", why="science code peaks at 170 MB"),
        "processes": Bound(default=64, maximum=256, unit="processes and threads", why="threads of numpy and asyncio"),
        "open_files": Bound(default=256, maximum=1024, unit="descriptors", why="of one process"),
        "output_bytes": Bound(default=1 << 20, maximum=16 << 20, unit="bytes", why="stdout and stderr together"),
        "disk_bytes": Bound(default=64 << 20, maximum=512 << 20, unit="bytes", why="all scratch space together"),
        "result_bytes": Bound(default=1 << 20, maximum=8 << 20, unit="bytes", why="the result as JSON"),
        "max_calls": Bound(default=100, maximum=10_000, unit="model calls", why="of one run"),
        "parallel": Bound(default=8, maximum=MAX_MODEL_PARALLEL, unit="model calls", why="in flight at once"),
        "prompt_bytes": Bound(default=256 << 10, maximum=1 << 20, unit="bytes", why="of one prompt"),
        "answer_bytes": Bound(default=256 << 10, maximum=1 << 20, unit="bytes", why="of one answer"),
        "tokens": Bound(default=1_000_000, maximum=10_000_000, unit="tokens", why="prompts and answers of one run"),
        "call_seconds": Bound(default=60, maximum=600, unit="s", why="one model call, its retries included"),
    }
)
"""The one table of limits. Zero is not "no limit": it does not validate."""

RUN_LIMITS = ("cpu_seconds", "memory_bytes", "processes", "open_files", "output_bytes", "disk_bytes", "result_bytes")
"""The keys of `config.limits`."""
MODEL_LIMITS = ("max_calls", "parallel", "prompt_bytes", "answer_bytes", "tokens", "call_seconds")
"""What bounds the model calls of a run; the first two are the keys of `config.model`."""


class RunLimits(Value):
    """The limits in force for one run. Every sandbox honours each of them or refuses the run."""

    cpu_seconds: int = Field(default=BOUNDS["cpu_seconds"].default, gt=0)
    memory_bytes: int = Field(default=BOUNDS["memory_bytes"].default, gt=0)
    processes: int = Field(default=BOUNDS["processes"].default, gt=0)
    open_files: int = Field(default=BOUNDS["open_files"].default, gt=0)
    output_bytes: int = Field(default=BOUNDS["output_bytes"].default, gt=0)
    disk_bytes: int = Field(default=BOUNDS["disk_bytes"].default, gt=0)
    result_bytes: int = Field(default=BOUNDS["result_bytes"].default, gt=0)


class ModelLimits(Value):
    """What bounds the model calls of one run."""

    max_calls: int = Field(default=BOUNDS["max_calls"].default, gt=0)
    parallel: int = Field(default=BOUNDS["parallel"].default, gt=0, le=MAX_MODEL_PARALLEL)
    prompt_bytes: int = Field(default=BOUNDS["prompt_bytes"].default, gt=0)
    answer_bytes: int = Field(default=BOUNDS["answer_bytes"].default, gt=0)
    tokens: int = Field(default=BOUNDS["tokens"].default, gt=0)
    call_seconds: int = Field(default=BOUNDS["call_seconds"].default, gt=0)


class LimitExceeded(ValueError):
    """A limit was asked for that the operator does not allow."""

    def __init__(self, name: str, asked: int, maximum: int) -> None:
        super().__init__(f"{name} must be at most {maximum} {BOUNDS[name].unit}, not {asked}")
        self.name, self.asked, self.maximum = name, asked, maximum


class OperatorLimits(Value):
    """The table of an installation: BOUNDS, with the operator's own defaults and maxima where set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bounds: dict[str, Bound] = Field(default_factory=lambda: dict(BOUNDS))

    @model_validator(mode="after")
    def _every_limit_is_there(self) -> Self:
        if set(self.bounds) != set(BOUNDS):
            raise ValueError(f"bounds must name exactly {sorted(BOUNDS)}")
        return self

    def settle(self, name: str, asked: int | None) -> int:
        """The value in force. Raises LimitExceeded where more was asked for than is allowed."""
        bound = self.bounds[name]
        if asked is None:
            return bound.default
        if not 0 < asked <= bound.maximum:
            raise LimitExceeded(name, asked, bound.maximum)
        return asked
