"""How our failures reach Temporal: code, words and evidence, bounded, and whether another attempt may help."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from temporalio.exceptions import ApplicationError

from domain.errors import PlatformError


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

    Causes stay out of history: the text of a foreign error has no bound, and may hold a script.
    """
    try:
        yield
    except ApplicationError:
        raise
    except PlatformError as error:
        raise application_error(error, final=final) from None
    except Exception as error:  # noqa: BLE001 - a defect of ours; the worker's log has the whole of it
        message = f"unexpected {type(error).__name__}"
        raise ApplicationError(message, type=PlatformError.code, non_retryable=final) from None
