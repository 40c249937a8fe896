"""What evaluations can be searched by in Temporal: one registry for workflow, client, server set-up and documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributePair, SearchAttributeUpdate, TypedSearchAttributes

from domain.evaluation import Evaluation
from domain.findings import Verdict
from domain.lifecycle import Stage, Status

STATUS = SearchAttributeKey.for_keyword("AirlockStatus")
STAGE = SearchAttributeKey.for_keyword("AirlockStage")
TENANT = SearchAttributeKey.for_keyword("AirlockTenant")
MODEL = SearchAttributeKey.for_keyword("AirlockModel")
VERDICT = SearchAttributeKey.for_keyword("AirlockVerdict")
QUEUED_AT: SearchAttributeKey[datetime] = SearchAttributeKey.for_datetime("AirlockQueuedAt")

KEYS: Sequence[SearchAttributeKey[Any]] = (STATUS, STAGE, TENANT, MODEL, VERDICT, QUEUED_AT)
"""All of them. A namespace has ten Keyword slots; this leaves five."""

EVERY_KEY = " AND ".join(f"{key.name} IS NOT NULL" for key in KEYS) + " AND ExecutionStatus='Terminated'"
"""A query that names all of them: a namespace without one of them refuses it. It finds next to nothing."""

MAX_KEYWORD = 255
"""Characters. A longer one would fail the workflow's task, again and again."""


def at_start(evaluation: Evaluation) -> TypedSearchAttributes:
    """What is known when a workflow starts."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(STATUS, Status.QUEUED.value),
            SearchAttributePair(STAGE, Stage.QUICK_CHECKS.value),
            SearchAttributePair(TENANT, evaluation.tenant[:MAX_KEYWORD]),
            SearchAttributePair(MODEL, evaluation.model_id[:MAX_KEYWORD]),
            SearchAttributePair(QUEUED_AT, evaluation.queued_at),
        ]
    )


def progress(status: Status, stage: Stage | None, verdict: Verdict | None) -> list[SearchAttributeUpdate[Any]]:
    """What changes on the way."""
    updates: list[SearchAttributeUpdate[Any]] = [STATUS.value_set(status.value)]
    if stage is not None:
        updates.append(STAGE.value_set(stage.value))
    if verdict is not None:
        updates.append(VERDICT.value_set(verdict.value))
    return updates
