"""Gives each line that an activity logs the evaluation and the stage that it tells of."""

from __future__ import annotations

from typing import Any

import structlog
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class LoggedActivities(Interceptor):
    """Binds evaluation and stage to whatever is logged while an activity is performed."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Stand before `next`."""
        return _Binding(next)


class _Binding(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        info = activity.info()
        with structlog.contextvars.bound_contextvars(
            evaluation_id=info.workflow_id, stage=info.activity_type, attempt=info.attempt
        ):
            return await self.next.execute_activity(input)
