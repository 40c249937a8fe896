"""Logs as one JSON object a line, each with the evaluation and the stage it tells of; nothing is taken on trust."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

MAX_TEXT = 4000
"""Characters of one field. JSON escapes what a terminal would obey; this bounds what a script could make us write."""


def configure_logs(level: str) -> None:
    """Send everything that this process logs, ours and our libraries', to stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _bounded,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for quiet in ("httpx", "httpcore", "alembic"):
        logging.getLogger(quiet).setLevel(logging.WARNING)  # an address in each line, and nothing else


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


def _bounded(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: value[:MAX_TEXT] if isinstance(value, str) else value for key, value in event.items()}
