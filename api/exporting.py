"""The route that gives away everything that is kept of one evaluation, as one file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api import presenting
from api.authentication import Reader
from api.event_stream import event_data
from api.examples import EXPORT, answers
from api.owned import owned
from api.schemas import ExportAnswer
from api.services import Served, Services
from domain.lifecycle import is_terminal
from storage.keys import Principal
from storage.records import EvaluationRecord

FORMAT = "airlock-export-1"
READ_AT_ONCE = 50
"""Entries: each has up to 64 KiB, and a slow client holds them in memory."""

router = APIRouter(prefix=presenting.ROOT, tags=["evaluations"])


@router.get(
    "/{evaluation_id}/export",
    response_class=Response,
    response_model=ExportAnswer,
    responses=answers(EXPORT, 400, 401, 403, 404, 429, 503),
)
async def export(evaluation_id: str, principal: Reader, services: Served) -> Response:
    """The record, the script, the result and the whole journal with output and transcript, as one JSON document.

    Of one that is under way: what there is until now. Of a deleted one: the tombstone, without script and result.
    """
    record = await owned(evaluation_id, principal, services)
    head = await _head(record, services)
    return _Download(head, record, principal, services)


async def _head(record: EvaluationRecord, services: Services) -> str:
    """Everything but the journal: a JSON object that is left open."""
    place = await services.evaluations.queue_place(record)
    whole = record.deleted_at is None
    script = await services.blobs.get(record.tenant, record.script.sha256) if whole else None
    result = None
    if whole and is_terminal(record.status):
        result = presenting.result_answer(record, await services.evaluations.result(record)).model_dump(mode="json")
    told = {
        "format": FORMAT,
        "exported_at": datetime.now(UTC).isoformat(),
        "evaluation": presenting.evaluation_answer(record, place, services.settings).model_dump(mode="json"),
        "script": None if script is None else script.decode("utf-8", "replace"),
        "result": result,
    }
    return json.dumps(told, ensure_ascii=True, allow_nan=False)[:-1]


class _Download(StreamingResponse):
    """The file, sent as it is read. It holds one of its key's streams, and has their longest life."""

    def __init__(self, head: str, record: EvaluationRecord, principal: Principal, services: Services) -> None:
        name = f'attachment; filename="{record.evaluation_id}.json"'
        super().__init__(
            _pieces(head, record, services), media_type="application/json", headers={"Content-Disposition": name}
        )
        self._key_id, self._services = principal.key_id, services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises Problem 429 before the first byte where no stream is free."""
        with self._services.stream_slots.taken(self._key_id):
            async with asyncio.timeout(self._services.settings.stream_seconds):
                await super().__call__(scope, receive, send)


async def _pieces(head: str, record: EvaluationRecord, services: Services) -> AsyncGenerator[str]:
    yield f'{head}, "journal": ['
    place = 0
    while place < record.last_seq:
        entries = await services.journal.read(record.evaluation_id, place, READ_AT_ONCE)
        told = [event_data(record.evaluation_id, entry) for entry in entries if entry.seq <= record.last_seq]
        if not told:
            break
        yield (", " if place else "") + ", ".join(json.dumps(data, ensure_ascii=True) for data in told)
        place = entries[-1].seq
    yield "]}\n"
