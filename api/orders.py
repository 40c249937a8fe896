"""Routes by which a person intervenes: stop, approve, reject, retry, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Response

from api import presenting
from api.authentication import Approver, Deleter, Stopper, Submitter
from api.evaluations import IdempotencyKey, accept
from api.examples import ACCEPTED, DECIDED_APPROVED, DECIDED_REJECTED, STOPPING, answers
from api.following import wait_for_end
from api.owned import owned, require_ended, require_payload
from api.problems import Problem
from api.schemas import Accepted, ApprovalRequest, Decided, RejectionRequest, StopAccepted, StopRequest
from api.services import Served, Services
from api.strict_json import StrictRoute
from api.submitting import Asked
from domain.errors import StorageUnavailable, WorkflowsUnavailable
from domain.evaluation import EffectiveConfig, StopOrder
from domain.lifecycle import Status, is_terminal
from domain.limits import OperatorLimits
from storage.keys import Principal
from storage.records import EvaluationRecord, StopAnswer

MAX_WAIT_SECONDS = 25.0
"""Of a stop: gateways give up after 29."""
_ORDERING = (400, 401, 403, 404, 408, 409, 413, 415, 429, 503)

log = structlog.get_logger()
router = APIRouter(prefix=presenting.ROOT, tags=["orders"], route_class=StrictRoute)


@router.post("/{evaluation_id}/stop", status_code=202, responses=answers(STOPPING, *_ORDERING, code=202))
async def stop(
    evaluation_id: str,
    principal: Stopper,
    services: Served,
    request: StopRequest | None = None,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for the confirmation.")] = 0,
) -> StopAccepted:
    """Stop an evaluation wherever it is. The order is journaled first, so that it holds whoever is dead just now."""
    record = await owned(evaluation_id, principal, services)
    order = StopOrder(reason=(request or StopRequest()).reason, by=f"key {principal.key_id}")
    answer = await services.evaluations.order_stop(evaluation_id, order, datetime.now(UTC))
    if answer is StopAnswer.ALREADY_ENDED and record.stop is None:
        raise Problem(409, "already_ended", "The evaluation has ended: there is nothing to stop.")
    log.info("stop_ordered", evaluation_id=evaluation_id, answer=answer.value)
    signalled = answer is not StopAnswer.ALREADY_ENDED and await _signalled(evaluation_id, order, services)
    status, known = await _what_came_of_it(record, order, services, wait)
    return StopAccepted(
        evaluation_id=evaluation_id,
        status=status,
        accepted=answer is StopAnswer.ACCEPTED,
        confirmed=status is Status.STOPPED,
        signalled=signalled,
        stop=known,
    )


@router.post("/{evaluation_id}/approve", status_code=202, responses=answers(DECIDED_APPROVED, *_ORDERING, code=202))
async def approve(
    evaluation_id: str, principal: Approver, services: Served, request: ApprovalRequest | None = None
) -> Decided:
    """Let a suspicious script go on. Name the digest of the findings seen, and others are refused."""
    digest = await _findings_to_decide(evaluation_id, principal, services)
    seen = (request or ApprovalRequest()).findings_digest
    if seen is not None and seen != digest:
        raise Problem(409, "findings_changed", "These are not the findings that the evaluation has now: look again.")
    by = f"key {principal.key_id}"
    _require_open(open_=await services.workflows.approve(evaluation_id, by=by, findings_digest=seen or digest))
    return Decided(evaluation_id=evaluation_id, status=Status.AWAITING_APPROVAL, decision="approved")


@router.post("/{evaluation_id}/reject", status_code=202, responses=answers(DECIDED_REJECTED, *_ORDERING, code=202))
async def reject(
    evaluation_id: str, principal: Approver, services: Served, request: RejectionRequest | None = None
) -> Decided:
    """Refuse a suspicious script."""
    await _findings_to_decide(evaluation_id, principal, services)
    reason = (request or RejectionRequest()).reason
    by = f"key {principal.key_id}"
    _require_open(open_=await services.workflows.reject(evaluation_id, by=by, reason=reason))
    return Decided(evaluation_id=evaluation_id, status=Status.AWAITING_APPROVAL, decision="rejected")


@router.post("/{evaluation_id}/retry", status_code=202, responses=answers(ACCEPTED, *_ORDERING, code=202))
async def retry(
    evaluation_id: str,
    response: Response,
    principal: Submitter,
    services: Served,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Submit an ended evaluation again, as a new one that names it."""
    record = await owned(evaluation_id, principal, services)
    require_ended(record)
    require_payload(record)
    script = await services.blobs.get(record.tenant, record.script.sha256)
    if script is None:
        raise Problem(404, "payload_deleted", "The script of this evaluation was deleted.")
    _require_limits(record.config, services.settings.operator_limits)
    asked = Asked(record.model_id, script, record.config, retry_of=evaluation_id)
    return await accept(asked, principal, services, response, idempotency_key)


@router.delete("/{evaluation_id}", status_code=204, responses=answers(None, 400, 401, 403, 404, 409, 429, 503))
async def delete(evaluation_id: str, principal: Deleter, services: Served) -> None:
    """Delete script, output, transcript and result of an ended evaluation. A tombstone stays."""
    record = await owned(evaluation_id, principal, services)
    require_ended(record)
    await services.evaluations.delete_payload(principal.tenant, evaluation_id)
    log.info("payload_deleted", evaluation_id=evaluation_id)


async def _signalled(evaluation_id: str, order: StopOrder, services: Services) -> bool:
    """Whether the workflow has heard. Where it cannot, the journal stops its run, and the sweep tells it again."""
    try:
        return await services.workflows.stop(evaluation_id, order)
    except WorkflowsUnavailable:
        log.warning("stop_not_signalled", evaluation_id=evaluation_id)
        return False


async def _what_came_of_it(
    record: EvaluationRecord, order: StopOrder, services: Services, wait: float
) -> tuple[Status, StopOrder]:
    """The status after a while, and the order that holds. The order is kept: nothing here makes it a failure."""
    try:
        if wait:
            await wait_for_end(
                services.journal, services.feed, record, min(wait, services.settings.longest_wait_seconds)
            )
        now = await services.evaluations.find(record.evaluation_id, record.tenant)
    except StorageUnavailable:
        log.warning("stop_not_followed", evaluation_id=record.evaluation_id)
        now = None
    if now is None:
        return record.status if is_terminal(record.status) else Status.STOPPING, record.stop or order
    return now.status, now.stop or order


async def _findings_to_decide(evaluation_id: str, principal: Principal, services: Services) -> str:
    """The digest of the findings that a person is asked about. Raises Problem 409 where nobody is asked."""
    record: EvaluationRecord = await owned(evaluation_id, principal, services)
    if record.status is Status.AWAITING_APPROVAL:
        return record.findings_digest
    report = await services.status_queries.ask(evaluation_id) if record.ended_at is None else None
    if report is None or report.status is not Status.AWAITING_APPROVAL:
        raise Problem(409, "not_awaiting_approval", f"The evaluation is {record.status}: it waits for nobody.")
    return report.findings_digest


def _require_open(*, open_: bool) -> None:
    if not open_:
        raise Problem(409, "not_awaiting_approval", "The evaluation waits for nobody any more.")


def _require_limits(config: EffectiveConfig, operator: OperatorLimits) -> None:
    """What was in force then has to be allowed now. Raises LimitExceeded."""
    asked = {"timeout": config.timeout, **config.limits.model_dump(), **config.model.model_dump()}
    for name, value in asked.items():
        operator.settle(name, value)
