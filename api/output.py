"""Routes that read what a script has printed and what it has asked its model, page by page."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query

from api import presenting
from api.authentication import Reader
from api.cursors import cursor_at, seq_at
from api.examples import LOGS, TRANSCRIPT, answers
from api.owned import owned, require_payload
from api.schemas import LogLine, LogPage, ModelCallEntry, TranscriptPage
from api.services import Served, Services
from domain.journal import Entry, EntryKind
from domain.lifecycle import is_terminal
from storage.keys import Principal

MAX_PAGE = 500
MAX_PAGE_BYTES = 1024 * 1024
"""Of payloads in one answer: an entry may have 64 KiB."""
READ_AT_ONCE = 50

router = APIRouter(prefix=presenting.ROOT, tags=["output"])
After = Annotated[str | None, Query(max_length=200, description="`next_cursor` of an earlier page.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
_READING = (400, 401, 403, 404, 429, 503)


@router.get("/{evaluation_id}/logs", responses=answers(LOGS, *_READING))
async def read_logs(
    evaluation_id: str, principal: Reader, services: Served, after: After = None, limit: Limit = 200
) -> LogPage:
    """What the script has printed, in the trial and in the execution (see `stage`)."""
    page = await _page(evaluation_id, principal, services, EntryKind.LOG, after, limit)
    lines = tuple(
        LogLine(
            at=entry.at,
            run=entry.run,
            stage=entry.stage,
            stream=str(entry.payload.get("stream", "")),
            text=str(entry.payload.get("text", "")),
        )
        for entry in page.entries
    )
    return LogPage(evaluation_id=evaluation_id, entries=lines, next_cursor=page.cursor, complete=page.complete)


@router.get("/{evaluation_id}/transcript", responses=answers(TRANSCRIPT, *_READING))
async def read_transcript(
    evaluation_id: str, principal: Reader, services: Served, after: After = None, limit: Limit = 200
) -> TranscriptPage:
    """Every call of the model, in the order in which they ended."""
    page = await _page(evaluation_id, principal, services, EntryKind.MODEL_CALL, after, limit)
    calls = tuple(
        ModelCallEntry(at=entry.at, run=entry.run, stage=entry.stage, call=entry.payload) for entry in page.entries
    )
    return TranscriptPage(evaluation_id=evaluation_id, calls=calls, next_cursor=page.cursor, complete=page.complete)


class _Page:
    def __init__(self, entries: list[Entry], cursor: str, *, complete: bool) -> None:
        self.entries, self.cursor, self.complete = entries, cursor, complete


async def _page(
    evaluation_id: str, principal: Principal, services: Services, kind: EntryKind, after: str | None, limit: int
) -> _Page:
    record = await owned(evaluation_id, principal, services)
    require_payload(record)
    place = seq_at(record, after)
    entries: list[Entry] = []
    size, more = 0, True
    while more and len(entries) < limit and size < MAX_PAGE_BYTES:
        wanted = min(READ_AT_ONCE, limit - len(entries))
        found = await services.journal.read(evaluation_id, place, wanted, frozenset({kind}))
        more = len(found) == wanted
        entries += found
        size += sum(len(json.dumps(entry.payload)) for entry in found)
        place = found[-1].seq if found else place
    complete = is_terminal(record.status) and not more
    return _Page(entries, cursor_at(evaluation_id, place), complete=complete)
