"""Counts what the table of metrics names, and serves it beside the metrics of Temporal's SDK, at one address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from domain.metrics import METRICS, OTHER, Kind, Label, Metric

if TYPE_CHECKING:
    from temporalio.common import MetricCounter, MetricGaugeFloat, MetricHistogramFloat, MetricMeter


class MetricsUnservable(Exception):
    """Nobody can listen at that address. Its text is one sentence for the operator."""


class Instruments:
    """Counts, observes and sets. Without a meter nothing is kept.

    A label that the table gives words for never says another one: text of a client or a script cannot become a label.
    """

    def __init__(self, meter: MetricMeter | None = None) -> None:
        self._counters: dict[str, MetricCounter] = {}
        self._histograms: dict[str, MetricHistogramFloat] = {}
        self._gauges: dict[str, MetricGaugeFloat] = {}
        if meter is None:
            return
        for metric in METRICS:
            match metric.kind:
                case Kind.COUNTER:
                    self._counters[metric.name] = meter.create_counter(metric.name, metric.meaning)
                case Kind.HISTOGRAM:
                    self._histograms[metric.name] = meter.create_histogram_float(metric.name, metric.meaning, "s")
                case Kind.GAUGE:
                    self._gauges[metric.name] = meter.create_gauge_float(metric.name, metric.meaning)

    def count(self, metric: Metric, /, **labels: str) -> None:
        """Add one to a counter."""
        self.add(metric, 1, **labels)

    def add(self, metric: Metric, number: int, /, **labels: str) -> None:
        """Add to a counter."""
        if counter := self._counters.get(metric.name):
            counter.add(number, labels_of(metric, labels))

    def observe(self, metric: Metric, seconds: float, /, **labels: str) -> None:
        """Put a duration into a histogram. A clock that was set back makes no negative one."""
        if histogram := self._histograms.get(metric.name):
            histogram.record(max(0.0, seconds), labels_of(metric, labels))

    def put(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        if gauge := self._gauges.get(metric.name):
            gauge.set(value, labels_of(metric, labels))


def serve_metrics(address: str) -> Instruments:
    """Serve a process's metrics over HTTP, at /metrics. To be called before its first client of Temporal is made.

    Raises MetricsUnservable.
    """
    from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig  # noqa: PLC0415 - who serves none loads none

    buckets = {metric.name: metric.buckets for metric in METRICS if metric.buckets}
    metrics = PrometheusConfig(
        bind_address=address,
        durations_as_seconds=True,
        counters_total_suffix=True,
        histogram_bucket_overrides=buckets,
    )
    try:
        runtime = Runtime(telemetry=TelemetryConfig(metrics=metrics, attach_service_name=False))
        Runtime.set_default(runtime)
    except (RuntimeError, ValueError) as error:
        raise MetricsUnservable(
            f"Metrics cannot be served at {address}: choose a free AIRLOCK_METRICS_ADDRESS."
        ) from error
    return Instruments(runtime.metric_meter)


def labels_of(metric: Metric, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of a metric, with words that the table knows."""
    return {label.name: _word(label, labels[label.name]) for label in metric.labels}


def _word(label: Label, said: str) -> str:
    return said if not label.words or said in label.words else OTHER
