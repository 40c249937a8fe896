"""How long what evaluations hold is kept, by tenant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from domain.values import Value

EVERY_OTHER = "*"
"""Stands for all tenants that are not named."""
Days = Annotated[int, Field(ge=1, le=36_500)]


class Retention(Value):
    """Days after its end when the payload of an evaluation is deleted, as `DELETE` would. Who is not named keeps it."""

    days: dict[str, Days] = Field(default_factory=dict)

    def named_before(self, now: datetime) -> Mapping[str, datetime]:
        """By named tenant: what ended before this has to go."""
        return {tenant: now - timedelta(days=days) for tenant, days in self.days.items() if tenant != EVERY_OTHER}

    def others_before(self, now: datetime) -> datetime | None:
        """The same for all other tenants; None where they keep everything."""
        days = self.days.get(EVERY_OTHER)
        return None if days is None else now - timedelta(days=days)
