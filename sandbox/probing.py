"""What a probe has instead of a model and a watcher: it runs an empty script, to see what a run gets."""

from __future__ import annotations

from domain.model_calls import ModelAnswer, ModelErrorKind, ModelRequest
from sandbox.port import RunEvent


async def no_model(request: ModelRequest) -> ModelAnswer:
    """Answer that there is none."""
    return ModelAnswer(call=request.call, error=ModelErrorKind.UNAVAILABLE, message="there is no model in a probe")


async def nobody(_: RunEvent) -> None:
    """Watch nothing."""
