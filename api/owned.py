"""The evaluation that a path names, if it is the caller's: the one place where tenants are kept apart."""

from __future__ import annotations

from api.problems import Problem, not_found
from api.services import Services
from domain.evaluation import EVALUATION_ID
from domain.lifecycle import is_terminal
from storage.keys import Principal
from storage.records import EvaluationRecord


async def owned(evaluation_id: str, principal: Principal, services: Services) -> EvaluationRecord:
    """The record. Raises Problem 404 where it is unknown or foreign, alike."""
    if EVALUATION_ID.fullmatch(evaluation_id) is None:
        raise not_found()
    record = await services.evaluations.find(evaluation_id, principal.tenant)
    if record is None:
        raise not_found()
    return record


def require_ended(record: EvaluationRecord) -> None:
    """Raise Problem 409 while an evaluation is under way."""
    if not is_terminal(record.status):
        raise Problem(409, "not_ended", f"The evaluation is {record.status}: it has not ended.")


def require_payload(record: EvaluationRecord) -> None:
    """Raise Problem 404 where script, output and result were deleted."""
    if record.deleted_at is not None:
        raise Problem(404, "payload_deleted", "Script, output and result of this evaluation were deleted.")
