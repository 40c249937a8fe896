"""The metrics: what each counts, and which words its labels may have. docs/metrics.md is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from domain.errors import PlatformError
from domain.findings import Verdict
from domain.lifecycle import TERMINAL, Stage, Status
from domain.model_calls import ModelErrorKind
from domain.outcomes import RunOutcome
from domain.runs import Backend, RunPurpose
from domain.values import Value

OTHER = "other"
"""Stands for a word that is not in a label's list: whoever asks for it cannot make a new time series."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET")


class Kind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


class Label(Value):
    """One label. `words` are all that it may say; none: words of our own code, as many as there are routes."""

    name: str
    words: tuple[str, ...] = ()


class Metric(Value):
    """One metric. Histograms are in seconds."""

    name: str
    kind: Kind
    meaning: str
    served_by: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def exposed_name(self) -> str:
        """As Prometheus reads it."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


def error_codes(kind: type[PlatformError] = PlatformError) -> Iterator[str]:
    """The codes of all failures of ours."""
    yield kind.code
    for narrower in kind.__subclasses__():
        yield from error_codes(narrower)


_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_STOP = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)

_METHOD = Label(name="method", words=METHODS)
_ROUTE = Label(name="route")
_STAGE = Label(name="stage", words=tuple(Stage))
_CODE = Label(name="code", words=tuple(dict.fromkeys(error_codes())))
_PURPOSE = Label(name="purpose", words=tuple(RunPurpose))
_BACKEND = Label(name="backend", words=tuple(Backend))
_REASON = Label(
    name="reason",
    words=(
        *("stop_ordered", "ended", "ownerless", "worker_gone", "overdue"),
        *("restarted", "changed", "deadline_passed", "lease_expired", "unproven", "network_open", "unbounded"),
    ),
)
_OPEN = Label(name="status", words=tuple(status for status in Status if status not in TERMINAL))

HTTP_REQUESTS = Metric(
    name="airlock_http_requests",
    kind=Kind.COUNTER,
    meaning="Requests that were answered, by the pattern of their route and the status of the answer. 0: the client "
    "was gone before one.",
    served_by="api",
    labels=(_METHOD, _ROUTE, Label(name="status")),
)
HTTP_REQUEST_SECONDS = Metric(
    name="airlock_http_request_seconds",
    kind=Kind.HISTOGRAM,
    meaning="From a request's first byte to its answer's last. Streams are not in it.",
    served_by="api",
    labels=(_METHOD, _ROUTE),
    buckets=_QUICK,
)
STREAMS_OPEN = Metric(
    name="airlock_http_streams_open",
    kind=Kind.GAUGE,
    meaning="Event streams that this process holds open.",
    served_by="api",
    labels=(Label(name="transport", words=("sse", "websocket")),),
)
STAGE_SECONDS = Metric(
    name="airlock_stage_seconds",
    kind=Kind.HISTOGRAM,
    meaning="One performance of a stage in a worker, however it ended. Waiting for a worker is not in it.",
    served_by="validation, execution",
    labels=(_STAGE,),
    buckets=_LONG,
)
STAGE_VERDICTS = Metric(
    name="airlock_stage_verdicts",
    kind=Kind.COUNTER,
    meaning="What stages of the review said.",
    served_by="validation",
    labels=(_STAGE, Label(name="verdict", words=tuple(Verdict))),
)
STAGE_FAILURES = Metric(
    name="airlock_stage_failures",
    kind=Kind.COUNTER,
    meaning="Performances of a stage that failed by our fault. Temporal may try again.",
    served_by="validation, execution",
    labels=(_STAGE, _CODE),
)
RUN_OUTCOMES = Metric(
    name="airlock_run_outcomes",
    kind=Kind.COUNTER,
    meaning="How runs of scripts ended.",
    served_by="validation, execution",
    labels=(_PURPOSE, _BACKEND, Label(name="outcome", words=tuple(RunOutcome))),
)
RUN_FAILURES = Metric(
    name="airlock_run_failures",
    kind=Kind.COUNTER,
    meaning="Runs that a sandbox refused (`sandbox_unavailable`: a control was not in force) or lost.",
    served_by="validation, execution",
    labels=(_PURPOSE, _BACKEND, _CODE),
)
RUNS_ALIVE = Metric(
    name="airlock_runs_alive",
    kind=Kind.GAUGE,
    meaning="Runs under way in this process.",
    served_by="validation, execution",
    labels=(_PURPOSE,),
)
STOP_SECONDS = Metric(
    name="airlock_stop_seconds",
    kind=Kind.HISTOGRAM,
    meaning="From the journaled stop to the moment when nothing of the run was alive.",
    served_by="validation, execution, monitor",
    labels=(_PURPOSE,),
    buckets=_STOP,
)
MODEL_CALLS = Metric(
    name="airlock_model_calls",
    kind=Kind.COUNTER,
    meaning="Model calls of runs, by what came of them. Those of trials are answered by the canned model.",
    served_by="validation, execution",
    labels=(_PURPOSE, Label(name="result", words=("answered", *ModelErrorKind))),
)
MODEL_CALL_SECONDS = Metric(
    name="airlock_model_call_seconds",
    kind=Kind.HISTOGRAM,
    meaning="One model call, with its retries and its wait for one of the run's slots.",
    served_by="validation, execution",
    labels=(_PURPOSE,),
    buckets=_LONG,
)
EVALUATIONS_ENDED = Metric(
    name="airlock_evaluations_ended",
    kind=Kind.COUNTER,
    meaning="Ends that workflows had written down. A write that had to be repeated counts again.",
    served_by="records",
    labels=(Label(name="status", words=tuple(status for status in Status if status in TERMINAL)),),
)
EVALUATIONS_OPEN = Metric(
    name="airlock_evaluations_open",
    kind=Kind.GAUGE,
    meaning="Evaluations that have not ended, of all tenants. Each records worker tells the same: take the maximum.",
    served_by="records",
    labels=(_OPEN,),
)
QUEUE_AGE_SECONDS = Metric(
    name="airlock_queue_age_seconds",
    kind=Kind.GAUGE,
    meaning="Since the longest waiting evaluation of a status was accepted; 0 where none waits. Take the maximum.",
    served_by="records",
    labels=(_OPEN,),
)
SWEPT = Metric(
    name="airlock_swept",
    kind=Kind.COUNTER,
    meaning="Evaluations that a sweep had to see to, by what was done.",
    served_by="records",
    labels=(
        Label(name="chore", words=("start_forgotten", "end_overdue", "repeat_stops", "end_departed", "delete_expired")),
    ),
)
INTAKE_MESSAGES = Metric(
    name="airlock_intake_messages",
    kind=Kind.COUNTER,
    meaning="Messages of the queue that an intake has dealt with. `known`: their workflow was there already; "
    "`given_back`, `left`: they come again.",
    served_by="intake",
    labels=(Label(name="result", words=("started", "known", "buried", "given_back", "left")),),
)
RUNS_REAPED = Metric(
    name="airlock_runs_reaped",
    kind=Kind.COUNTER,
    meaning="Runs that the monitor found alive and ended, by why they must not live.",
    served_by="monitor",
    labels=(_REASON,),
)
RUNS_UNKILLABLE = Metric(
    name="airlock_runs_unkillable",
    kind=Kind.COUNTER,
    meaning="Attempts of the monitor to end a run that failed. It tries again with each patrol.",
    served_by="monitor",
    labels=(_REASON,),
)
PATROLS = Metric(
    name="airlock_patrols",
    kind=Kind.COUNTER,
    meaning="Looks of the monitor: at all runs of its machine, at all pods, and at the walls around those. One that "
    "makes none reaps nothing.",
    served_by="monitor",
    labels=(Label(name="of", words=("machine", "pods", "walls")), Label(name="result", words=("ended", "failed"))),
)
MONITOR_LEADS = Metric(
    name="airlock_monitor_leads",
    kind=Kind.GAUGE,
    meaning="1 where this monitor is the one that acts on pods, 0 where it waits for that. One of them has to.",
    served_by="monitor",
)
PODS_FOREIGN = Metric(
    name="airlock_pods_foreign",
    kind=Kind.GAUGE,
    meaning="Pods in a namespace for scripts that Airlock did not make. They are left alone, and should not be there.",
    served_by="monitor",
    labels=(_PURPOSE,),
)
WATCH_SILENT_SECONDS = Metric(
    name="airlock_watch_silent_seconds",
    kind=Kind.GAUGE,
    meaning="Since the cluster has told this process anything about pods. Above 90 nothing of it is believed.",
    served_by="validation, execution, monitor",
    labels=(_PURPOSE,),
)

METRICS = (
    HTTP_REQUESTS,
    HTTP_REQUEST_SECONDS,
    STREAMS_OPEN,
    STAGE_SECONDS,
    STAGE_VERDICTS,
    STAGE_FAILURES,
    RUN_OUTCOMES,
    RUN_FAILURES,
    RUNS_ALIVE,
    STOP_SECONDS,
    MODEL_CALLS,
    MODEL_CALL_SECONDS,
    EVALUATIONS_ENDED,
    EVALUATIONS_OPEN,
    QUEUE_AGE_SECONDS,
    SWEPT,
    INTAKE_MESSAGES,
    RUNS_REAPED,
    RUNS_UNKILLABLE,
    PATROLS,
    MONITOR_LEADS,
    PODS_FOREIGN,
    WATCH_SILENT_SECONDS,
)
