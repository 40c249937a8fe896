"""Traces (OpenTelemetry): from a request through its workflow to its run. Loaded where an endpoint is set alone.

Whatever leaves the process passes one gate, `Cleaned`: names and attributes that are not ours by their form are left
out, and so are events and descriptions, which hold the words of errors: nothing that a client or a script wrote.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from temporalio.contrib.opentelemetry import TracingInterceptor

from workflows.activity_options import OPTIONS

FLUSH_MILLISECONDS = 2000
"""What a process that leaves gives its last spans. A collector that is away holds up nobody."""
OTHER = "other"
SIGNALS = ("emergency_stop", "approve", "reject", "execution_began", "status")
ATTRIBUTES = frozenset(
    {
        "temporalWorkflowID",
        "temporalRunID",
        "temporalActivityID",
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "airlock.evaluation_id",
        "airlock.run_id",
        "airlock.purpose",
        "airlock.backend",
        "airlock.isolation_level",
        "airlock.outcome",
        "airlock.code",
    }
)
_NAMED = re.compile(r"([A-Za-z]{1,40}):(.{1,80})")
_WORKFLOW = "EvaluationWorkflow"
_SUBJECTS = frozenset({_WORKFLOW, *OPTIONS, *SIGNALS})
_PLAIN = re.compile(r"[A-Za-z0-9_.:/{}-]{1,120}")
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Traces:
    """The spans of one process. `close` sends the last ones."""

    def __init__(self, exporter: SpanExporter, process: str, *, batched: bool = True) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": f"airlock-{process}"}))
        kind = BatchSpanProcessor if batched else SimpleSpanProcessor
        self._provider.add_span_processor(kind(Cleaned(exporter)))
        self._tracer = self._provider.get_tracer("airlock")
        self.interceptor = TracingInterceptor(self._tracer)
        """For the client of Temporal, and by it for its workers."""

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Mapping[str, AttributeValue] = MappingProxyType({}),
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: str | None = None,
    ) -> Generator[Span]:
        """A span around something. `parent` is a `traceparent` from elsewhere."""
        with self._tracer.start_as_current_span(
            name,
            remote(parent),
            kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException:  # cancelled too: what did not get to its end did not succeed
                span.set_status(Status(StatusCode.ERROR))
                raise

    @contextmanager
    def continued(self, carrier: Mapping[str, str]) -> Generator[None]:
        """Go on with a trace that began in another process, as `carrier()` told it there."""
        with self.span("intake", kind=SpanKind.CONSUMER, parent=carrier.get("traceparent")):
            yield

    def flush(self) -> None:
        """Send what has ended. Waits for at most two seconds."""
        self._provider.force_flush(FLUSH_MILLISECONDS)

    def close(self) -> None:
        """Send the last ones and end."""
        self.flush()
        self._provider.shutdown()


class Cleaned(SpanExporter):
    """Stands before an exporter, and lets through what is ours by its form alone."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Pass on the spans, cleaned."""
        return self._exporter.export([_cleaned(span) for span in spans])

    def shutdown(self) -> None:
        """End."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = FLUSH_MILLISECONDS) -> bool:
        """Send what waits."""
        return self._exporter.force_flush(timeout_millis)


def carrier() -> dict[str, str]:
    """The current span for a message to another process. Empty where there is none."""
    told: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(told)
    return {name: value for name, value in told.items() if name == "traceparent"}


def remote(parent: str | None) -> Context | None:
    """A context whose span is elsewhere; None where `parent` is no `traceparent`. No `tracestate` is taken over."""
    found = _PARENT.fullmatch(parent or "")
    if found is None:
        return None
    there = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(int(found[3], 16)))
    return trace.set_span_in_context(NonRecordingSpan(there)) if there.is_valid else None


def exporting(endpoint: str, process: str) -> Traces:
    """The traces of a process, sent to a collector in batches, in a thread of its own."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - slow to load

    return Traces(OTLPSpanExporter(endpoint=endpoint, timeout=5), process)


def _cleaned(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=_name(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in (span.attributes or {}).items() if _is_ours(key, value)},
        events=(),
        links=[trace.Link(link.context) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _name(name: str) -> str:
    """The SDK's names end with what is started, performed or signalled: words that others choose."""
    found = _NAMED.fullmatch(name)
    if found is not None:
        return name if found[2] in _SUBJECTS else f"{found[1]}:{OTHER}"
    return name if name in {"request", "run", "intake"} else OTHER


def _is_ours(key: str, value: AttributeValue) -> bool:
    if key not in ATTRIBUTES:
        return False
    return isinstance(value, int) or (isinstance(value, str) and _PLAIN.fullmatch(value) is not None)
