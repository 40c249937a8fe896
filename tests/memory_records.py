"""Records, scripts and journals in memory, with the promises that activities rely on."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from pydantic import JsonValue

from activities.messages import Conclusion, StatusNotice
from activities.ports import RunJournal
from domain.errors import PlatformError
from domain.evaluation import StopOrder
from domain.findings import Finding
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage, Status, may_become
from domain.results import canonical_json
from domain.runs import ExecutionReport, ModelUse, RunReport


class MemoryRecords:
    """Everything of every evaluation. `fails` is raised by the next `failures` calls, whatever they are."""

    def __init__(self) -> None:
        self.scripts: dict[tuple[str, str], bytes] = {}
        self.statuses: dict[str, list[Status]] = {}
        self.stages: list[tuple[str, Stage, dict[str, JsonValue]]] = []
        self.entries: dict[str, list[NewEntry]] = {}
        self.stops: dict[str, StopOrder] = {}
        self.begun: dict[str, tuple[str, datetime]] = {}
        self.receipts: dict[str, RunReport] = {}
        self.uses: dict[str, ModelUse] = {}
        self.findings: dict[str, tuple[Finding, ...]] = {}
        self.ends: dict[str, Conclusion] = {}
        self.fails: PlatformError | None = None
        self.failures = 0

    def keep(self, tenant: str, script: bytes) -> None:
        """Store a script."""
        self.scripts[tenant, hashlib.sha256(script).hexdigest()] = script

    def of_kind(self, evaluation_id: str, kind: EntryKind) -> list[NewEntry]:
        """The journaled entries of one kind."""
        return [entry for entry in self.entries.get(evaluation_id, []) if entry.kind is kind]

    async def get(self, tenant: str, sha256: str) -> bytes | None:
        self._maybe_fail()
        return self.scripts.get((tenant, sha256))

    async def note_status(self, notice: StatusNotice) -> bool:
        self._maybe_fail()
        passed = self.statuses.setdefault(notice.evaluation_id, [Status.QUEUED])
        if not may_become(passed[-1], notice.status):
            return False
        passed.append(notice.status)
        return True

    async def note_stage(
        self, evaluation_id: str, stage: Stage, at: datetime, payload: Mapping[str, JsonValue]
    ) -> None:
        self._maybe_fail()
        assert at.tzinfo is not None
        self.stages.append((evaluation_id, stage, dict(payload)))

    async def note_stop(self, evaluation_id: str, order: StopOrder, at: datetime) -> bool:
        self._maybe_fail()
        assert at.tzinfo is not None
        if evaluation_id in self.receipts or evaluation_id in self.ends:
            return False
        self.stops.setdefault(evaluation_id, order)
        return True

    async def stop_ordered(self, evaluation_id: str) -> StopOrder | None:
        self._maybe_fail()
        return self.stops.get(evaluation_id)

    async def begin_execution(self, evaluation_id: str, run_id: str, worker: str, at: datetime) -> bool:
        self._maybe_fail()
        assert run_id
        assert at.tzinfo is not None
        return self.begun.setdefault(evaluation_id, (worker, at)) == (worker, at)

    async def record_receipt(
        self,
        evaluation_id: str,
        report: RunReport,
        findings: tuple[Finding, ...],
        model_use: ModelUse,
        at: datetime,
    ) -> bool:
        self._maybe_fail()
        assert at.tzinfo is not None
        assert isinstance(findings, tuple)
        if evaluation_id in self.stops:
            return False
        self.receipts[evaluation_id], self.uses[evaluation_id] = report, model_use
        self.findings[evaluation_id] = findings
        return True

    async def reported(self, evaluation_id: str) -> ExecutionReport | None:
        self._maybe_fail()
        report = self.receipts.get(evaluation_id)
        if report is None:
            return None
        return ExecutionReport(
            outcome=report.outcome,
            exit_code=report.exit_code,
            findings=self.findings[evaluation_id],
            result_digest=hashlib.sha256(canonical_json(report.result)).hexdigest() if report.has_result else None,
            isolation_level=report.isolation.level,
        )

    async def conclude(self, conclusion: Conclusion) -> None:
        self._maybe_fail()
        self.ends.setdefault(conclusion.end.evaluation_id, conclusion)

    @asynccontextmanager
    async def batch(self, evaluation_id: str) -> AsyncGenerator[RunJournal]:
        yield _Batch(self.entries.setdefault(evaluation_id, []))

    def _maybe_fail(self) -> None:
        if self.fails is not None and self.failures > 0:
            self.failures -= 1
            raise self.fails


class _Batch:
    def __init__(self, entries: list[NewEntry]) -> None:
        self._entries = entries

    async def put(self, entry: NewEntry) -> None:
        self._entries.append(entry)
