"""Workflows that remember what they were told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from domain.errors import WorkflowsUnavailable
from domain.evaluation import Evaluation, StatusReport, StopOrder


@dataclass
class FakeWorkflows:
    """`away`: Temporal does not answer. `lost_after_ping`: it goes away between the ping and the start.

    `answers_pings` holds up its answers where it is cleared.
    """

    away: bool = False
    lost_after_ping: bool = False
    open: bool = True
    started: list[Evaluation] = field(default_factory=list[Evaluation])
    stopped: list[tuple[str, StopOrder]] = field(default_factory=list[tuple[str, StopOrder]])
    approved: list[tuple[str, str, str | None]] = field(default_factory=list[tuple[str, str, str | None]])
    rejected: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    reports: dict[str, StatusReport] = field(default_factory=dict[str, StatusReport])
    answers_pings: asyncio.Event = field(default_factory=asyncio.Event)
    pings: int = 0
    queries: int = 0

    def __post_init__(self) -> None:
        self.answers_pings.set()

    def _reach(self) -> None:
        if self.away:
            raise WorkflowsUnavailable("Temporal does not answer", "secret words of an error")

    async def ping(self) -> None:
        self.pings += 1
        await self.answers_pings.wait()
        self._reach()
        self.away = self.lost_after_ping

    async def start(self, evaluation: Evaluation) -> None:
        self._reach()
        self.started.append(evaluation)

    async def status(self, evaluation_id: str) -> StatusReport | None:
        self.queries += 1
        self._reach()
        return self.reports.get(evaluation_id)

    async def stop(self, evaluation_id: str, order: StopOrder) -> bool:
        self._reach()
        self.stopped.append((evaluation_id, order))
        return self.open

    async def approve(self, evaluation_id: str, *, by: str, findings_digest: str | None) -> bool:
        self._reach()
        self.approved.append((evaluation_id, by, findings_digest))
        return self.open

    async def reject(self, evaluation_id: str, *, by: str, reason: str) -> bool:
        self._reach()
        self.rejected.append((evaluation_id, by, reason))
        return self.open
