"""The time of day that journal entries are stamped with."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)
