"""Stage 1, quick checks: what a script's bytes, syntax and names say."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity

from activities.clock import now
from activities.failures import told_to_temporal
from activities.messages import StageTask, StatusNotice
from activities.ports import Checker, Records, Scripts
from activities.stage_work import is_last_attempt, noted, script_of
from domain.errors import ParserTimeout
from domain.findings import StageReport
from domain.lifecycle import STAGE_DEADLINES, Stage, Status

WITHIN = STAGE_DEADLINES[Stage.QUICK_CHECKS] - timedelta(seconds=2)
"""Leaves time to say that it was not enough."""


class QuickChecks:
    """Makes the checks that the API has made already: evaluations may come by other doors."""

    def __init__(self, records: Records, scripts: Scripts, checker: Checker) -> None:
        self._records = records
        self._scripts = scripts
        self._checker = checker

    @activity.defn
    async def quick_checks(self, task: StageTask) -> StageReport:
        """Note that the review has begun, and check the script."""
        with told_to_temporal():
            notice = StatusNotice(
                evaluation_id=task.evaluation.evaluation_id,
                status=Status.PENDING_VALIDATION,
                at=now(),
                stage=Stage.QUICK_CHECKS,
            )
            await self._records.note_status(notice)
            return await noted(self._records, task, Stage.QUICK_CHECKS, lambda: self._checked(task))

    async def _checked(self, task: StageTask) -> StageReport:
        source = await script_of(self._scripts, task.evaluation)
        try:
            parsed = await self._checker.check(source, task.evaluation.config.environment, WITHIN)
        except ParserTimeout as late:
            if not is_last_attempt():
                raise  # the children may have been busy with other scripts
            return StageReport(stage=Stage.QUICK_CHECKS, complete=False, note=late.message)
        return parsed.report
