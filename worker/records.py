"""The rows of evaluations as activities speak of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue

from activities.messages import Conclusion, StatusNotice
from domain.evaluation import StopOrder
from domain.findings import Finding
from domain.lifecycle import Stage
from domain.outcomes import RunOutcome
from domain.runs import ExecutionReport, ModelUse, RunReport
from storage.evaluations import Evaluations, StatusChange, StopAnswer


class StoredRecords:
    """`activities.ports.Records` on the database."""

    def __init__(self, evaluations: Evaluations) -> None:
        self._evaluations = evaluations

    async def note_status(self, notice: StatusNotice) -> bool:
        """Move a row forward. False where it is past that status already."""
        change = StatusChange(
            evaluation_id=notice.evaluation_id,
            status=notice.status,
            stage=notice.stage,
            at=notice.at,
            verdict=notice.verdict,
            findings_digest=notice.findings_digest,
            cause=notice.cause,
            findings=notice.findings,
        )
        return await self._evaluations.advance(change)

    async def note_stage(
        self, evaluation_id: str, stage: Stage, at: datetime, payload: Mapping[str, JsonValue]
    ) -> None:
        """Journal what a stage is about."""
        await self._evaluations.note_stage(evaluation_id, stage, at, payload)

    async def note_stop(self, evaluation_id: str, order: StopOrder, at: datetime) -> bool:
        """Journal a stop. False where a receipt, or the end, was journaled first."""
        return await self._evaluations.order_stop(evaluation_id, order, at) is not StopAnswer.ALREADY_ENDED

    async def stop_ordered(self, evaluation_id: str) -> StopOrder | None:
        """The stop that somebody ordered."""
        return await self._evaluations.stop_ordered(evaluation_id)

    async def begin_execution(self, evaluation_id: str, run_id: str, worker: str, at: datetime) -> bool:
        """Write the row that says the script is about to be delivered."""
        return await self._evaluations.begin_execution(evaluation_id, run_id, worker, at)

    async def record_receipt(
        self,
        evaluation_id: str,
        report: RunReport,
        findings: tuple[Finding, ...],
        model_use: ModelUse,
        at: datetime,
    ) -> bool:
        """Keep what came of an execution."""
        return await self._evaluations.record_receipt(evaluation_id, report, findings, model_use, at)

    async def reported(self, evaluation_id: str) -> ExecutionReport | None:
        """What was kept of an execution."""
        record = await self._evaluations.find(evaluation_id)
        if record is None or record.report is None:
            return None
        stored = record.report
        return ExecutionReport(
            outcome=RunOutcome.STOPPED if stored.after_stop else stored.outcome,
            message=stored.message[:500],
            exit_code=stored.exit_code,
            findings=stored.findings,
            result_digest=stored.result_digest,
            isolation_level=stored.isolation.level,
        )

    async def conclude(self, conclusion: Conclusion) -> None:
        """Write the end."""
        await self._evaluations.conclude(conclusion.end, conclusion.at, conclusion.findings, conclusion.findings_digest)
