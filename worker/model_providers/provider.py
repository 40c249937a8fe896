"""What answers model calls: one protocol, one answer, one error."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from domain.model_calls import ChatMessage, ModelErrorKind
from domain.values import Value


class CallOptions(BaseModel):
    """The options a script may set; every other one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    stop: Annotated[str, Field(max_length=200)] | Annotated[tuple[str, ...], Field(max_length=4)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None


class ProviderCall(Value):
    """One call as a provider gets it: within its budgets, with checked options."""

    messages: tuple[ChatMessage, ...]
    options: CallOptions
    seed: int = 0
    """The script's own where it named one, else the evaluation's."""
    max_answer_bytes: int
    seconds: float
    """For everything, retries included. The caller cuts off what takes longer."""


class ProviderAnswer(Value):
    """What came back."""

    text: str
    prompt_tokens: int = Field(default=0, ge=0)
    answer_tokens: int = Field(default=0, ge=0)


class CallFailed(Exception):
    """A call has no answer. The message goes into the script: nothing of ours is in it."""

    def __init__(self, kind: ModelErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


class ModelProvider(Protocol):
    """Answers one call. Raises CallFailed. Bounded in time by whoever calls it."""

    @property
    def name(self) -> str:
        """Who it is, as results say it."""
        ...

    async def answer(self, call: ProviderCall) -> ProviderAnswer:
        """Answer, or raise CallFailed."""
        ...


def checked_options(options: dict[str, JsonValue]) -> CallOptions:
    """The options of a call. Raises CallFailed where one is unknown or out of range."""
    try:
        return CallOptions.model_validate(options)
    except ValidationError as error:
        allowed = ", ".join(CallOptions.model_fields)
        first = ".".join(str(part) for part in error.errors()[0]["loc"][:1])[:40]
        message = f"option {first!r} is unknown or out of range; there are {allowed}"
        raise CallFailed(ModelErrorKind.INVALID, message) from None


def estimated_tokens(text_bytes: int) -> int:
    """Tokens of a text whose provider does not count: about four bytes each."""
    return -(-text_bytes // 4)
