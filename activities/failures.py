"""How our failures reach Temporal: code, words and evidence, bounded, and whether another attempt may help."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import structlog
from temporalio.exceptions import ApplicationError

from domain.errors import PlatformError

log = structlog.get_logger()


def application_error(error: PlatformError, *, final: bool = False) -> ApplicationError:
    """`error` as Temporal keeps it: `type` is the code, `details` are message and evidence."""
    return ApplicationError(
        error.message,
        error.message,
        error.evidence,
        type=error.code,
        non_retryable=final or not error.retryable,
    )


@contextmanager
def told_to_temporal(*, final: bool = False) -> Generator[None]:
    """Translate what is raised inside. `final`: no other attempt may follow, whatever the error says of itself.

    Causes stay out of history: the text of a foreign error has no bound, and may hold a script. The log has them.
    """
    try:
        yield
    except ApplicationError:
        raise
    except PlatformError as error:
        raise application_error(error, final=final) from None
    except Exception as error:  # a defect of ours, or a foreign failure that nobody has thought of
        log.exception("activity_broke", error=type(error).__name__)
        message = f"unexpected {type(error).__name__}"
        raise ApplicationError(message, type=PlatformError.code, non_retryable=final) from None
