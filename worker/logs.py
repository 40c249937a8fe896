"""Tells of each stage that was performed, and gives each line of an activity the evaluation that it tells of."""

from __future__ import annotations

import time
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import PlatformError
from domain.lifecycle import Stage

_STAGES = frozenset(Stage)

log = structlog.get_logger()


class LoggedActivities(Interceptor):
    """Binds the evaluation, and the stage or else the activity, to whatever is logged while it is performed."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Stand before `next`."""
        return _Binding(next)


class _Binding(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        info = activity.info()
        kind = "stage" if info.activity_type in _STAGES else "activity"
        about = {"evaluation_id": info.workflow_id, kind: info.activity_type, "attempt": info.attempt}
        with structlog.contextvars.bound_contextvars(**about):
            return await (self._stage(input) if kind == "stage" else self.next.execute_activity(input))

    async def _stage(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        began = time.perf_counter()
        try:
            result = await self.next.execute_activity(input)
        except ApplicationError as error:
            log.warning("stage_failed", code=error.type or PlatformError.code, ms=_ms_since(began))
            raise
        log.info("stage_performed", ms=_ms_since(began))
        return result


def _ms_since(began: float) -> float:
    return round(1000 * (time.perf_counter() - began), 1)
