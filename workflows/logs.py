"""Logs as one JSON object a line, ours and our libraries' alike; nothing is taken on trust."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

MAX_TEXT = 4000
"""Characters of one field. JSON escapes what a terminal would obey; this bounds what a script could make us write."""
MAX_FRAMES = 12
"""Of one traceback, the innermost."""
MAX_CHAIN = 5
QUIET = {
    "alembic": logging.WARNING,
    "httpcore": logging.WARNING,  # an address in each line, and nothing else
    "httpx": logging.WARNING,
    "temporalio": logging.INFO,  # below, every payload of a workflow and an activity
    "mangum": logging.WARNING,  # paths, as clients write them
    "uvicorn": logging.WARNING,  # below, the path of a WebSocket, as its client wrote it
    "websockets": logging.INFO,  # below, every header of a handshake: keys too
    "sqlalchemy": logging.WARNING,  # below, every parameter of a statement: scripts too
    "urllib3": logging.INFO,
    "asyncio": logging.INFO,
    "sse_starlette": logging.INFO,  # below, whatever is sent
}
"""The least severity of what libraries log, whatever is asked for."""


def configure_logs(level: str) -> None:
    """Send everything that this process logs, ours and our libraries', to stderr."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(places),
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
    logging.captureWarnings(capture=True)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelNamesMapping()[level]))


def places(exc_info: ExcInfo) -> str:
    """Where an exception came from: types and places. Its words may be a script's, or a statement with its values."""
    told: list[str] = []
    current: BaseException | None = exc_info[1]
    while current is not None and len(told) < MAX_CHAIN:
        told.append(f"{type(current).__name__}\n{_frames(current.__traceback__)}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(told)


def _frames(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-MAX_FRAMES:]
    return "".join(f"  {frame.filename}:{frame.lineno} in {frame.name}\n" for frame in frames)


def _bounded(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: value[:MAX_TEXT] if isinstance(value, str) else value for key, value in event.items()}
