"""Writes down what the workflow decides."""

from __future__ import annotations

from temporalio import activity

from activities.messages import Conclusion, StatusNotice, StopNotice


class RecordKeeping:
    """Writes down what the workflow decides."""

    @activity.defn
    async def record_status(self, notice: StatusNotice) -> None:
        """Write a status down, unless the record is past it."""
        raise NotImplementedError

    @activity.defn
    async def record_stop(self, notice: StopNotice) -> bool:
        """Write a stop down. False: a receipt was journaled before it."""
        raise NotImplementedError

    @activity.defn
    async def conclude(self, conclusion: Conclusion) -> None:
        """Write the end down. The first end stays."""
        raise NotImplementedError
