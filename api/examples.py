"""An example of every answer, for the OpenAPI document. A test holds each against its schema."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from domain.evaluation import EffectiveConfig
from domain.findings import Finding, Severity
from domain.limits import BOUNDS, MAX_REQUEST_BYTES, MAX_SCRIPT_BYTES
from domain.policy import Policy

Example = dict[str, Any]
PROBLEM = "#/components/schemas/ProblemAnswer"
"""Where api/openapi.py puts its schema."""
_ID = "eval_mfzxk3tpn5uwc2lqobzgs3thna"
_AT, _LATER = "2026-01-02T03:04:05Z", "2026-01-02T03:04:09Z"
_SCRIPT = {"sha256": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef", "size": 86}
_DIGEST = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
_CONFIG = EffectiveConfig().model_dump(mode="json")
_FINDING = Finding(
    rule="reads_environment",
    severity=Severity.MEDIUM,
    message="Reads os.environ.",
    line=3,
    column=4,
    evidence="os.environ",
    snippet="home = os.environ",
    instead="Pass what the script needs in config.params.",
).model_dump(mode="json")
_QUEUE = {"as_of": _AT, "approximate": True, "reason": "waits for a validation worker"}
_NO_QUEUE = {"as_of": _LATER, "approximate": False, "reason": "has ended"}
_LINKS = {"self": f"/api/v1/evaluations/{_ID}", "web_ui": None} | {
    name: f"/api/v1/evaluations/{_ID}/{name}"
    for name in ("status", "result", "logs", "transcript", "events", "ws", "stop")
}
_ISOLATION = {
    "backend": "bubblewrap",
    "level": 2,
    "checks": {"no_network": True, "root_read_only": True, "no_new_privs": True},
    "details": {"seccomp": "2"},
}
_SUMMARY = {
    "evaluation_id": _ID,
    "status": "completed",
    "stage": "pod_execution",
    "verdict": "approved",
    "outcome": "completed",
    "cause": None,
    "model_id": "gpt-4",
    "environment": "default",
    "tags": {"suite": "nightly"},
    "queued_at": _AT,
    "ended_at": _LATER,
    "retry_of": None,
    "deleted_at": None,
}
_CALL: Example = {
    "request": {"call": 0, "messages": [{"role": "user", "content": "2 + 2?"}], "options": {}},
    "answer": {"call": 0, "text": "4", "error": None, "message": "", "prompt_tokens": 5, "answer_tokens": 1},
    "milliseconds": 12,
}

ACCEPTED: Example = {
    "evaluation_id": _ID,
    "status": "queued",
    "queue_position": 5,
    "queue": _QUEUE,
    "effective_config": _CONFIG,
    "retry_of": None,
    "links": _LINKS,
}
STATUS: Example = {
    "evaluation_id": _ID,
    "status": "awaiting_approval",
    "stage": "sandbox_trial",
    "verdict": "suspicious",
    "outcome": None,
    "cause": None,
    "queue_position": None,
    "queue": {"as_of": _LATER, "approximate": False, "reason": "waits for a person"},
    "findings": [_FINDING],
    "findings_digest": _DIGEST,
    "queued_at": _AT,
    "started_at": None,
    "ended_at": None,
    "updated_at": _LATER,
    "source": "record",
}
PAGE: Example = {"evaluations": [_SUMMARY], "next_cursor": None}
EVALUATION: Example = _SUMMARY | {
    "script": _SCRIPT,
    "effective_config": _CONFIG,
    "policy": Policy().model_dump(mode="json"),
    "queue_position": None,
    "queue": _NO_QUEUE,
    "findings": [],
    "findings_digest": _DIGEST,
    "isolation": _ISOLATION,
    "started_at": _AT,
    "updated_at": _LATER,
    "stop": None,
    "links": _LINKS,
}
RESULT: Example = {
    "evaluation_id": _ID,
    "status": "completed",
    "outcome": "completed",
    "verdict": "approved",
    "cause": None,
    "has_result": True,
    "result": {"score": 0.75},
    "result_digest": _DIGEST,
    "script": _SCRIPT,
    "environment_digest": _DIGEST,
    "isolation": _ISOLATION,
    "usage": {
        "wall_ms": 412,
        "cpu_ms": 88,
        "peak_memory_bytes": 21_000_000,
        "output_bytes": 120,
        "output_truncated": False,
    },
    "model_use": {
        "provider": "mock",
        "calls": 4,
        "failed_calls": 0,
        "refused_calls": 0,
        "prompt_bytes": 96,
        "answer_bytes": 40,
        "prompt_tokens": 24,
        "answer_tokens": 8,
        "transcript_sha256": _DIGEST,
    },
    "exit_code": 0,
    "signal": None,
    "message": "",
    "traceback": "",
    "findings": [],
}
LOGS: Example = {
    "evaluation_id": _ID,
    "entries": [
        {"at": _LATER, "run": f"{_ID}-execution", "stage": "pod_execution", "stream": "stdout", "text": "3 of 4\n"}
    ],
    "next_cursor": "MTo3OmdzM3RobmE",
    "complete": True,
}
TRANSCRIPT: Example = {
    "evaluation_id": _ID,
    "calls": [{"at": _LATER, "run": f"{_ID}-execution", "stage": "pod_execution", "call": _CALL}],
    "next_cursor": "MTo5OmdzM3RobmE",
    "complete": True,
}
EXPORT: Example = {
    "format": "airlock-export-1",
    "exported_at": _LATER,
    "evaluation": EVALUATION,
    "script": "def evaluate_model(model): ...",
    "result": RESULT,
    "journal": [
        {
            "evaluation_id": _ID,
            "kind": "log",
            "at": _LATER,
            "run": f"{_ID}-execution",
            "stage": "pod_execution",
            "payload": {"stream": "stdout", "text": "3 of 4\n"},
        }
    ],
}
EVENTS = (
    "id: MTo1OmdzM3RobmE\nevent: status\n"
    f'data: {{"evaluation_id":"{_ID}","kind":"status","at":"{_LATER}","run":"","stage":"pod_execution",'
    '"payload":{"status":"executing","stage":"pod_execution","verdict":"approved"}}\n\n'
    'id: MTo1OmdzM3RobmE\nevent: end\ndata: {"reason": "longest_life"}\n\n'
)
STOPPING: Example = {
    "evaluation_id": _ID,
    "status": "stopping",
    "accepted": True,
    "confirmed": False,
    "signalled": True,
    "stop": {"reason": "too dear", "by": "key key_mfzxk3tpn5uwc2lq"},
}
DECIDED_APPROVED: Example = {"evaluation_id": _ID, "status": "awaiting_approval", "decision": "approved"}
DECIDED_REJECTED: Example = DECIDED_APPROVED | {"decision": "rejected"}
ENVIRONMENTS: Example = {
    "environments": [
        {
            "name": "science",
            "description": "numpy, pandas and scikit-learn",
            "digest": _DIGEST,
            "packages": [{"name": "numpy", "version": "2.3.5"}],
            "modules": ["json", "math", "numpy"],
        }
    ]
}
MODELS: Example = {"models": [{"model_id": "gpt-4", "provider": "mock"}]}
IN_FORCE: Example = {
    "limits": {name: bound.model_dump() for name, bound in BOUNDS.items()},
    "max_script_bytes": MAX_SCRIPT_BYTES,
    "max_request_bytes": MAX_REQUEST_BYTES,
    "policy": Policy().model_dump(mode="json"),
    "rate_limit": "1200/minute",
    "streams_per_key": 100,
    "stream_seconds": 900.0,
}
HEALTH: Example = {"status": "ok"}

_PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("limit_exceeded", "timeout must be at most 3600 s, not 7200."),
    401: ("unauthorized", "Send a valid API key: `Authorization: Bearer <key>`."),
    403: ("scope_missing", "This key may not stop."),
    404: ("not_found", "There is no such evaluation."),
    408: ("too_slow", "The body did not come within 30 seconds."),
    409: ("not_ended", "The evaluation is executing: it has not ended."),
    413: ("too_large", f"The body is larger than {MAX_REQUEST_BYTES} bytes."),
    415: ("unsupported_media_type", "Send application/json, in UTF-8."),
    429: ("too_many_requests", "This key may ask 1200 per 1 minute."),
    503: ("workflows_unavailable", "Nothing was done: Temporal does not answer. Try again later."),
}


def answers(
    example: Example | str | None, *problems: int, code: int = 200, media_type: str = "application/json"
) -> dict[int | str, dict[str, Any]]:
    """The answers of a route: its own with an example, and the problems that it may end in."""
    told: dict[int | str, dict[str, Any]] = {}
    if example is not None:
        told[code] = {"content": {media_type: {"example": example}}}
    for status in problems:
        told[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": {"$ref": PROBLEM}, "example": _problem(status)}},
        }
    return told


def _problem(status: int) -> Example:
    code, detail = _PROBLEMS[status]
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": "req_9f2c4e1b7a6d4c3e8f901234",
    }
