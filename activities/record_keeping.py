"""Writes down what the workflow decides: statuses, a stop, the end."""

from __future__ import annotations

from temporalio import activity

from activities.failures import told_to_temporal
from activities.messages import Conclusion, StatusNotice, StopNotice
from activities.ports import Records


class RecordKeeping:
    """Keeps the rows of evaluations. Each activity may be repeated."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @activity.defn
    async def record_status(self, notice: StatusNotice) -> None:
        """Write a status down, unless the row is past it."""
        with told_to_temporal():
            await self._records.note_status(notice)

    @activity.defn
    async def record_stop(self, notice: StopNotice) -> bool:
        """Write a stop down. False: a receipt that tells of none was journaled before it."""
        with told_to_temporal():
            return await self._records.note_stop(notice.evaluation_id, notice.order, notice.at)

    @activity.defn
    async def conclude(self, conclusion: Conclusion) -> None:
        """Write the end down. The first end stays."""
        with told_to_temporal():
            await self._records.conclude(conclusion)
