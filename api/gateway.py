"""What the API needs of the workflows. Who stands behind is decided in api/wiring.py."""

from __future__ import annotations

from typing import Protocol

from domain.evaluation import Evaluation, StatusReport, StopOrder


class Workflows(Protocol):
    """The workflows of evaluations. Everything raises WorkflowsUnavailable where Temporal is away."""

    async def ping(self) -> object:
        """Raise unless Temporal answers."""
        ...

    async def start(self, evaluation: Evaluation) -> object:
        """Start a workflow. One that is there already is fine."""
        ...

    async def status(self, evaluation_id: str) -> StatusReport | None:
        """What the workflow itself says, None where nobody answers within a second."""
        ...

    async def stop(self, evaluation_id: str, order: StopOrder) -> bool:
        """Tell a workflow to stop. False where it is not open."""
        ...

    async def approve(self, evaluation_id: str, *, by: str, findings_digest: str | None) -> bool:
        """Let a suspicious script go on. False where the workflow is not open."""
        ...

    async def reject(self, evaluation_id: str, *, by: str, reason: str) -> bool:
        """Refuse a suspicious script. False where the workflow is not open."""
        ...
