"""What a function does not serve, whatever is held open: it says where to go, to whoever may see the evaluation."""

from __future__ import annotations

from typing import NoReturn

from fastapi import APIRouter

from api import presenting
from api.authentication import Reader
from api.examples import answers
from api.owned import owned
from api.problems import Problem
from api.serverless.settings import ServerlessSettings
from api.services import Served

_REFUSED = (401, 403, 404, 429, 503)
router = APIRouter(prefix=presenting.ROOT, tags=["streams"])


@router.get("/{evaluation_id}/events", responses=answers(None, *_REFUSED), status_code=501)
@router.get("/{evaluation_id}/ws", responses=answers(None, *_REFUSED), status_code=501)
async def refuse_stream(evaluation_id: str, principal: Reader, services: Served) -> None:
    """Streams are held open, and a function holds nothing."""
    await owned(evaluation_id, principal, services)
    _refuse(services.settings, "This door holds nothing open.")


@router.get("/{evaluation_id}/export", responses=answers(None, *_REFUSED), status_code=501)
async def refuse_export(evaluation_id: str, principal: Reader, services: Served) -> None:
    """An export is larger than what a function may answer."""
    await owned(evaluation_id, principal, services)
    raise Problem(501, "export_elsewhere", "An export is larger than this door may answer: `airlock export` has it.")


def _refuse(settings: object, why: str) -> NoReturn:
    url = settings.websocket_url if isinstance(settings, ServerlessSettings) else None
    where = f"Connect to {url}" if url else "Connect to the WebSocket API"
    raise Problem(
        501, "streams_elsewhere", f'{why} {where} and send {{"action": "subscribe", "evaluation_id": "..."}}.'
    )
