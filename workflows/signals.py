"""What a signal carried, made harmless: anybody with the CLI may send anything, and a handler must never raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import Field

from domain.evaluation import StopOrder
from domain.values import Value

MAX_TEXT = 500
MAX_NAME = 200
SOMEBODY = "somebody with access to Temporal"
"""Who decided, where the signal does not say."""


class Decision(Value):
    """What a person decided about a suspicious evaluation."""

    by: str = Field(default=SOMEBODY, max_length=MAX_NAME)
    reason: str = Field(default="", max_length=MAX_TEXT)
    findings_digest: str | None = Field(default=None, max_length=MAX_NAME)
    """The findings that were seen. None: the decision names none."""
    understood: bool = True
    """False where the signal had no shape that we know: no approval can be read out of it."""


def stop_order(request: Any) -> StopOrder:
    """The order in an `emergency_stop`: whatever it carried, it is an order to stop."""
    if isinstance(request, Mapping):
        fields = cast("Mapping[Any, Any]", request)
        return StopOrder(reason=_text(fields.get("reason"), MAX_TEXT), by=_text(fields.get("by"), MAX_NAME))
    return StopOrder(reason=_text(request, MAX_TEXT))


def decision(request: Any, *more: Any) -> Decision:
    """The decision in an `approve` or a `reject`: nothing, a name, or an object."""
    if more:
        return Decision(understood=False)
    if isinstance(request, Mapping):
        fields = cast("Mapping[Any, Any]", request)
        digest = fields.get("findings_digest")
        return Decision(
            by=_text(fields.get("by"), MAX_NAME) or SOMEBODY,
            reason=_text(fields.get("reason"), MAX_TEXT),
            findings_digest=None if digest is None else _text(digest, MAX_NAME),
        )
    if request is None or isinstance(request, str):
        return Decision(by=_text(request, MAX_NAME) or SOMEBODY)
    return Decision(understood=False)


def _text(value: Any, length: int) -> str:
    """A bounded, encodable line of it. Only text and numbers speak for themselves; the rest says nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # A number may have more digits than Python is willing to print
    words = value[: 4 * length] if isinstance(value, str) else repr(value) if abs(value) < 1e15 else ""
    return "".join(char if char.isprintable() else " " for char in words).strip()[:length]
