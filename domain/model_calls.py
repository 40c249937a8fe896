"""A call of the evaluated model: what a script asks, what it gets, and what may go wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue

from domain.values import Value


class ChatMessage(Value):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class ModelRequest(Value):
    """A call as it left the sandbox: checked for shape, hostile in content."""

    call: int = Field(ge=0)
    """Number of the call within its run."""
    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=1000)
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """temperature, max_tokens, top_p, stop, seed: everything else is refused."""


class ModelErrorKind(StrEnum):
    """Why a call has no answer. A budget raises BudgetExceeded in the script, all else ModelError."""

    BUDGET = "budget"
    INVALID = "invalid"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    NONSENSE = "nonsense"
    """The provider answered something that is no answer."""


class ModelAnswer(Value):
    """What goes back into the sandbox: a text, or an error of one kind."""

    call: int
    text: str = ""
    error: ModelErrorKind | None = None
    message: str = Field(default="", max_length=500)
    prompt_tokens: int = 0
    answer_tokens: int = 0


ModelAnswerer = Callable[[ModelRequest], Awaitable[ModelAnswer]]
"""Answers a call. Never raises: whatever goes wrong is an answer with an error."""


def call_digest(request: ModelRequest, answer: ModelAnswer) -> str:
    """SHA-256 over what was asked and what came back."""
    words = {"request": request.model_dump(mode="json"), "answer": answer.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(words, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def transcript_digest(calls: Iterable[tuple[int, str]]) -> str:
    """SHA-256 over the digests of a run's calls in the order of their numbers, whatever order they ended in."""
    lines = "".join(f"{call} {digest}\n" for call, digest in sorted(calls))
    return hashlib.sha256(lines.encode()).hexdigest()
