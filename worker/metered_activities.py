"""Counts what activities come to: how long stages take, what they say, how they fail, and how evaluations end."""

from __future__ import annotations

import time
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.messages import Conclusion, StageTask
from domain.errors import PlatformError
from domain.findings import StageReport
from domain.lifecycle import Stage
from domain.metrics import EVALUATIONS_ENDED, STAGE_FAILURES, STAGE_SECONDS, STAGE_VERDICTS
from workflows.metrics import Instruments

_STAGES = frozenset(Stage)


class MeteredActivities(Interceptor):
    """Stands before every activity of a worker."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Stand before `next`."""
        return _Metered(next, self._instruments)


class _Metered(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, instruments: Instruments) -> None:
        super().__init__(following)
        self._instruments = instruments

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        name = activity.info().activity_type
        if name not in _STAGES:
            result = await self.next.execute_activity(input)
        else:
            result = await self._stage(name, input)
        match input.args:
            case [StageTask(evaluation=evaluation), *_] if isinstance(result, StageReport):
                verdict = evaluation.policy.verdict_of(result)
                self._instruments.count(STAGE_VERDICTS, stage=name, verdict=verdict.value)
            case [Conclusion(end=end), *_]:
                self._instruments.count(EVALUATIONS_ENDED, status=end.status.value)
            case _:
                pass
        return result

    async def _stage(self, name: str, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        began = time.perf_counter()
        try:
            return await self.next.execute_activity(input)
        except ApplicationError as error:
            self._instruments.count(STAGE_FAILURES, stage=name, code=error.type or PlatformError.code)
            raise
        finally:
            self._instruments.observe(STAGE_SECONDS, time.perf_counter() - began, stage=name)
