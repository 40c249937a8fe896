"""Records as answers. What is not named in api/schemas.py does not go out."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pydantic import JsonValue

from api.schemas import Accepted, EvaluationAnswer, EvaluationSummary, Links, Queue, ResultAnswer, StatusAnswer
from api.settings import ApiSettings
from domain.evaluation import StatusReport
from domain.lifecycle import is_terminal
from storage.records import EvaluationRecord, ListedEvaluation, QueuePlace
from storage.transitions import way

ROOT = "/api/v1/evaluations"


def links_of(evaluation_id: str, settings: ApiSettings) -> Links:
    """Where to go on from an evaluation."""
    here = f"{ROOT}/{evaluation_id}"
    names = ("status", "result", "logs", "transcript", "events", "ws", "stop")
    web_ui = None
    if settings.web_ui_url:
        namespace = quote(settings.temporal_namespace, safe="")
        web_ui = f"{settings.web_ui_url.rstrip('/')}/namespaces/{namespace}/workflows/{evaluation_id}"
    return Links(self=here, web_ui=web_ui, **{name: f"{here}/{name}" for name in names})


def accepted(record: EvaluationRecord, place: QueuePlace, settings: ApiSettings) -> Accepted:
    """The answer to a submission."""
    return Accepted(
        evaluation_id=record.evaluation_id,
        status=record.status,
        queue_position=place.position,
        queue=_queue(place),
        effective_config=record.config,
        retry_of=record.retry_of,
        links=links_of(record.evaluation_id, settings),
    )


def status_answer(record: EvaluationRecord, report: StatusReport | None, place: QueuePlace) -> StatusAnswer:
    """Where an evaluation is, as far as the record knows or its workflow is further on."""
    known: dict[str, Any] = {
        "status": record.status,
        "stage": record.stage,
        "verdict": record.verdict,
        "cause": record.cause,
        "findings": record.findings,
        "findings_digest": record.findings_digest,
        "source": "record",
    }
    if report is not None and is_ahead(report, record):
        known |= {
            "status": report.status,
            "stage": report.stage,
            "verdict": report.verdict,
            "cause": report.cause,
            "findings": report.review.findings,
            "findings_digest": report.findings_digest,
            "source": "workflow",
        }
    return StatusAnswer(
        evaluation_id=record.evaluation_id,
        outcome=record.outcome,
        queue_position=place.position,
        queue=_queue(place),
        queued_at=record.queued_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        updated_at=record.updated_at,
        **known,
    )


def is_ahead(report: StatusReport, record: EvaluationRecord) -> bool:
    """Whether the workflow is further on than its record: in a later status, or in the same with more to tell.

    An end is told by the record alone: with it come outcome and times, and the result can be had.
    """
    if is_terminal(report.status):
        return False
    if report.status is record.status:
        return len(report.review.findings) > len(record.findings) or report.stage != record.stage
    return bool(way(record.status, report.status))


def summary(record: ListedEvaluation) -> EvaluationSummary:
    """An evaluation in a list."""
    return EvaluationSummary(**_summary(record))


def evaluation_answer(record: EvaluationRecord, place: QueuePlace, settings: ApiSettings) -> EvaluationAnswer:
    """A record as a whole."""
    return EvaluationAnswer(
        **_summary(record),
        script=record.script,
        effective_config=record.config,
        policy=record.policy,
        queue_position=place.position,
        queue=_queue(place),
        findings=record.findings,
        findings_digest=record.findings_digest,
        isolation=record.report.isolation if record.report else None,
        started_at=record.started_at,
        updated_at=record.updated_at,
        stop=record.stop,
        links=links_of(record.evaluation_id, settings),
    )


def result_answer(record: EvaluationRecord, result: JsonValue) -> ResultAnswer:
    """What an ended evaluation has come to."""
    report = record.report
    return ResultAnswer(
        evaluation_id=record.evaluation_id,
        status=record.status,
        outcome=record.outcome,
        verdict=record.verdict,
        cause=record.cause,
        has_result=report is not None and report.has_result,
        result=result,
        result_digest=report.result_digest if report else None,
        script=record.script,
        environment_digest=report.environment_digest if report else None,
        isolation=report.isolation if report else None,
        usage=report.usage if report else None,
        model_use=report.model_use if report else None,
        exit_code=report.exit_code if report else None,
        signal=report.signal if report else None,
        message=report.message if report else "",
        traceback=report.traceback if report else "",
        findings=record.findings,
    )


def _summary(record: ListedEvaluation) -> dict[str, Any]:
    return {
        "evaluation_id": record.evaluation_id,
        "status": record.status,
        "stage": record.stage,
        "verdict": record.verdict,
        "outcome": record.outcome,
        "cause": record.cause,
        "model_id": record.model_id,
        "environment": record.config.environment,
        "tags": record.config.tags,
        "queued_at": record.queued_at,
        "ended_at": record.ended_at,
        "retry_of": record.retry_of,
        "deleted_at": record.deleted_at,
    }


def _queue(place: QueuePlace) -> Queue:
    return Queue(as_of=place.as_of, approximate=place.approximate, reason=place.reason)
