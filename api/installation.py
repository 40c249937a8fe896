"""Routes that tell what this installation offers, and what is in force in it."""

from __future__ import annotations

from fastapi import APIRouter

from api.authentication import Reader
from api.examples import ENVIRONMENTS, IN_FORCE, MODELS, answers
from api.schemas import EnvironmentAnswer, Environments, InForce, LimitAnswer, ModelAnswer, Models
from api.services import Served
from domain.limits import MAX_REQUEST_BYTES, MAX_SCRIPT_BYTES

router = APIRouter(prefix="/api/v1", tags=["installation"])
_READING = (401, 403, 429, 503)


@router.get("/environments", responses=answers(ENVIRONMENTS, *_READING))
async def list_environments(_: Reader, services: Served) -> Environments:
    """What scripts may import, by environment. Where an interpreter lies is nobody's business."""
    return Environments(
        environments=tuple(
            EnvironmentAnswer(
                name=each.name,
                description=each.description,
                digest=each.digest,
                packages=tuple({"name": package.name, "version": package.version} for package in each.packages),
                modules=each.modules,
            )
            for _, each in sorted(services.environments.items())
        )
    )


@router.get("/models", responses=answers(MODELS, *_READING))
async def list_models(principal: Reader, services: Served) -> Models:
    """The models that this key may name, and who answers for each."""
    allowed = (
        each
        for model_id, each in sorted(services.models.items())
        if principal.models is None or model_id in principal.models
    )
    return Models(models=tuple(ModelAnswer(model_id=each.model_id, provider=each.provider.value) for each in allowed))


@router.get("/limits", responses=answers(IN_FORCE, *_READING))
async def read_limits(_: Reader, services: Served) -> InForce:
    """What applies when nothing is asked for, and the most that may be asked for."""
    settings = services.settings
    bounds = settings.operator_limits.bounds
    return InForce(
        limits={name: LimitAnswer.model_validate(bound.model_dump()) for name, bound in bounds.items()},
        max_script_bytes=MAX_SCRIPT_BYTES,
        max_request_bytes=MAX_REQUEST_BYTES,
        policy=services.submitting.policy,
        rate_limit=settings.rate_limit,
        streams_per_key=settings.streams_per_key,
        stream_seconds=settings.stream_seconds,
    )
