"""docs/metrics.md, made from the table: `python -m workflows.metric_page > docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from domain.metrics import METRICS, OTHER, Kind, Metric

SDK_METRICS: Mapping[str, str] = MappingProxyType(
    {
        "temporal_activity_execution_failed_total": "Activities that failed. Ours tell by stage and code.",
        "temporal_activity_execution_latency": "How long activities took.",
        "temporal_activity_schedule_to_start_latency": "How long activities waited for a slot: too few workers.",
        "temporal_activity_succeed_endtoend_latency": "From an activity's first schedule to its success.",
        "temporal_activity_task_received_total": "Activities that were taken.",
        "temporal_local_activity_execution_cancelled_total": "None here: there are no local activities.",
        "temporal_long_request_failure_total": "Polls that failed.",
        "temporal_long_request_latency": "How long polls took. They wait by design.",
        "temporal_long_request_total": "Polls.",
        "temporal_nexus_poll_no_task_total": "Polls for orders of the server, such as cancellations, that found none.",
        "temporal_nexus_task_endtoend_latency": "From such an order to its answer.",
        "temporal_nexus_task_execution_failed_total": "Such orders that were not carried out.",
        "temporal_nexus_task_execution_latency": "How long such an order took.",
        "temporal_nexus_task_schedule_to_start_latency": "How long such orders waited.",
        "temporal_num_pollers": "Pollers of a process. 0: it takes nothing.",
        "temporal_request_failure_total": "Requests to Temporal that failed, by `status_code`.",
        "temporal_request_latency": "How long Temporal took to answer.",
        "temporal_request_total": "Requests to Temporal.",
        "temporal_sticky_cache_hit_total": "Workflow tasks that found their workflow in memory.",
        "temporal_sticky_cache_miss_total": "Those that did not.",
        "temporal_sticky_cache_size": "Workflows in memory.",
        "temporal_sticky_cache_total_forced_eviction_total": "Workflows dropped from memory before their end.",
        "temporal_worker_start_total": "Workers that were started in the process.",
        "temporal_worker_task_slots_available": "Free slots, by `worker_type`.",
        "temporal_worker_task_slots_used": "Taken slots, by `worker_type`.",
        "temporal_workflow_completed_total": "Workflows that ended with a record.",
        "temporal_workflow_endtoend_latency": "From a workflow's start to its end.",
        "temporal_workflow_failed_total": "Workflows that failed. None should: their ends are values.",
        "temporal_workflow_task_execution_failed_total": "Workflow tasks that broke: a defect, or another replay.",
        "temporal_workflow_task_execution_latency": "How long workflow tasks took.",
        "temporal_workflow_task_queue_poll_empty_total": "Polls for workflows that found none.",
        "temporal_workflow_task_queue_poll_succeed_total": "Workflow tasks that were taken.",
        "temporal_workflow_task_replay_latency": "How long a workflow took to be replayed.",
        "temporal_workflow_task_schedule_to_start_latency": "How long workflow tasks waited for an orchestrator.",
    }
)
"""Those of Temporal's SDK that our processes serve, with what they mean here."""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "Made from `domain/metrics.py` by `python -m workflows.metric_page > docs/metrics.md`."
    yield ""
    yield "A process serves them at `http://HOST:PORT/metrics` where `AIRLOCK_METRICS_ADDRESS` says `HOST:PORT`, and"
    yield "not at all without it. Keep that address on a private network: the figures are of all tenants. Labels have"
    yield f"their words in a table; whatever is not in it becomes `{OTHER}`: no text of a client or a script is ever a"
    yield "label. What to do about each alert of [alerts.yaml](../deploy/observability/alerts.yaml) is in"
    yield "[operations](operations.md)."
    yield ""
    yield "| metric | kind | labels | served by | meaning |"
    yield "|---|---|---|---|---|"
    for metric in METRICS:
        yield _row(metric)
    yield ""
    yield "## Words of the labels"
    yield ""
    labels = {(label.name, label.words) for metric in METRICS for label in metric.labels if label.words}
    for name, words in sorted(labels):
        yield f"- `{name}`: {', '.join(f'`{word}`' for word in words)}"
    yield "- `route`: the pattern of a route, as in the OpenAPI document, or `unknown`; `status` of requests: HTTP's"
    yield ""
    yield "## Of Temporal's SDK"
    yield ""
    yield "| metric | meaning |"
    yield "|---|---|"
    for name, meaning in SDK_METRICS.items():
        yield f"| `{name}` | {meaning} |"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label.name}`" for label in metric.labels)
    buckets = f" Buckets up to {metric.buckets[-1]:g} s." if metric.kind is Kind.HISTOGRAM else ""
    return f"| `{metric.exposed_name}` | {metric.kind} | {labels} | {metric.served_by} | {metric.meaning}{buckets} |"


if __name__ == "__main__":
    sys.stdout.write(page())
