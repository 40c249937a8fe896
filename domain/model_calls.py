"""A call of the evaluated model: what a script asks, what it gets, and what may go wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
