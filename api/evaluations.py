"""Routes that submit evaluations and read their records."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from api import presenting
from api.authentication import Reader, Submitter
from api.examples import ACCEPTED, EVALUATION, PAGE, RESULT, STATUS, answers
from api.owned import owned, require_ended, require_payload
from api.schemas import (
    Accepted,
    EvaluationAnswer,
    EvaluationPage,
    ResultAnswer,
    StatusAnswer,
    SubmissionRequest,
)
from api.services import Served, Services
from api.strict_json import StrictRoute
from api.submitting import Asked
from domain.evaluation import StatusReport, settle
from domain.lifecycle import Status, is_terminal
from storage.keys import Principal
from storage.listings import MAX_PAGE
from storage.records import EvaluationRecord

router = APIRouter(prefix=presenting.ROOT, tags=["evaluations"], route_class=StrictRoute)
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", description="Makes a repetition the same request."),
]
_REFUSED = (400, 401, 403, 408, 409, 413, 415, 429, 503)
_READING = (400, 401, 403, 404, 429, 503)


@router.post("", status_code=202, responses=answers(ACCEPTED, *_REFUSED, code=202))
async def submit(
    submission: SubmissionRequest,
    response: Response,
    principal: Submitter,
    services: Served,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Submit a script. Its shape, names and limits are checked at once; whatever runs it comes later."""
    config = settle(submission.config, services.settings.operator_limits)
    asked = Asked(submission.model_id, submission.script.encode(), config)
    return await accept(asked, principal, services, response, idempotency_key)


async def accept(
    asked: Asked, principal: Principal, services: Services, response: Response, idempotency_key: str | None
) -> Accepted:
    """Have a submission kept, and tell where it is to be found."""
    taken = await services.submitting.accept(asked, principal, idempotency_key)
    answer = presenting.accepted(taken.record, taken.place, services.settings)
    response.headers["Location"] = answer.links.self
    return answer


@router.get("", responses=answers(PAGE, 400, 401, 403, 429, 503))
async def list_evaluations(
    principal: Reader,
    services: Served,
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> EvaluationPage:
    """The evaluations of this key's tenant, the newest first."""
    page = await services.evaluations.page(principal.tenant, status, limit, cursor)
    return EvaluationPage(evaluations=tuple(map(presenting.summary, page.records)), next_cursor=page.next_cursor)


@router.get("/{evaluation_id}", responses=answers(EVALUATION, *_READING))
async def read_evaluation(evaluation_id: str, principal: Reader, services: Served) -> EvaluationAnswer:
    """Everything that is known about an evaluation, but its result. Of a deleted one the tombstone."""
    record = await owned(evaluation_id, principal, services)
    place = await services.evaluations.queue_place(record)
    return presenting.evaluation_answer(record, place, services.settings)


@router.get("/{evaluation_id}/status", responses=answers(STATUS, *_READING))
async def read_status(evaluation_id: str, principal: Reader, services: Served) -> StatusAnswer:
    """Where an evaluation is, and why: from its record, or from its workflow where that is further on."""
    record = await owned(evaluation_id, principal, services)
    report = await _asked_of_workflow(record, services)
    place = await services.evaluations.queue_place(record)
    return presenting.status_answer(record, report, place)


@router.get("/{evaluation_id}/result", responses=answers(RESULT, *_READING, 409))
async def read_result(evaluation_id: str, principal: Reader, services: Served) -> ResultAnswer:
    """What an ended evaluation has come to. The result is the script's claim."""
    record = await owned(evaluation_id, principal, services)
    require_ended(record)
    require_payload(record)
    return presenting.result_answer(record, await services.evaluations.result(record))


async def _asked_of_workflow(record: EvaluationRecord, services: Services) -> StatusReport | None:
    if is_terminal(record.status):
        return None
    return await services.status_queries.ask(record.evaluation_id)
