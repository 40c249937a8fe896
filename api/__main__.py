"""`python -m api`: serves the HTTP interface in one process."""

from __future__ import annotations

import asyncio
import logging
import sys

import structlog
from sqlalchemy.exc import ProgrammingError

from api.app import create_app
from api.server import Server
from api.settings import ApiSettings, BadSettings, read_settings
from api.wiring import opened
from detection.policy_file import PolicyError
from domain.errors import PlatformError
from storage.catalogues import CatalogueError
from storage.database import UnknownDatabase
from storage.rights import RightsMissing
from storage.schema import SchemaMismatch
from workflows.metrics import Instruments, MetricsUnservable, serve_metrics
from workflows.namespace import NamespaceUnprepared

CANNOT_START = 78
"""EX_CONFIG of sysexits: starting it again will not help."""
_SAYS_WHAT_TO_DO = (
    BadSettings,
    CatalogueError,
    MetricsUnservable,
    PolicyError,
    UnknownDatabase,
    SchemaMismatch,
    RightsMissing,
    NamespaceUnprepared,
)


def main() -> int:
    """Serve until a signal. The exit code tells whether it could start."""
    try:
        settings = read_settings()
        _log_as_json(settings.log_level)
        asyncio.run(_serve(settings))
    except _SAYS_WHAT_TO_DO as error:
        return _refused(str(error))
    except ProgrammingError:
        return _refused("The database refuses the API's user: run `airlock admin setup --grant`.")
    except PlatformError as error:
        return _refused(f"The API cannot start: {error.message}. {error.evidence}".strip())
    return 0


async def _serve(settings: ApiSettings) -> None:
    instruments = serve_metrics(settings.metrics_address) if settings.metrics_address else Instruments()
    async with opened(settings) as services:
        app = create_app(services, settings.api_app, instruments)
        await Server(app, settings.host, settings.port).serve()


def _log_as_json(level: str) -> None:
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _refused(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
