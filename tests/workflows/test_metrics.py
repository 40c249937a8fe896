"""Metrics are what the table says: documented, with bounded labels, and in line with the alert rules."""

from __future__ import annotations

import socket
from pathlib import Path

import promql_parser
import pytest
import yaml
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from domain.errors import PlatformError
from domain.metrics import HTTP_REQUESTS, METRICS, OTHER, QUEUE_AGE_SECONDS, STAGE_FAILURES, STAGE_SECONDS, Kind
from tests.architecture.test_packaging import ROOT
from worker.reasons import Reason
from worker.sweep import Sweep
from workflows.metric_page import SDK_METRICS, page
from workflows.metrics import Instruments, MetricsUnservable, serve_metrics

ALERTS = Path(ROOT) / "deploy/observability/alerts.yaml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]
BY_NAME = {metric.exposed_name: metric for metric in METRICS}


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """Everything that a rule reads. Raises ValueError where it is no PromQL."""
    found: list[promql_parser.VectorSelector] = []

    def keep(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), keep)
    return found


def test_the_page_is_fresh() -> None:
    assert Path(ROOT, "docs/metrics.md").read_text("utf-8") == page()


def test_what_is_counted_comes_out_with_its_labels() -> None:
    buffer = MetricBuffer(1000)
    instruments = Instruments(Runtime(telemetry=TelemetryConfig(metrics=buffer)).metric_meter)

    instruments.count(HTTP_REQUESTS, method="GET", route="/livez", status="200")
    instruments.observe(STAGE_SECONDS, 1.5, stage="quick_checks")
    instruments.put(QUEUE_AGE_SECONDS, 3, status="queued")

    updates = [(each.metric.name, each.value, dict(each.attributes)) for each in buffer.retrieve_updates()]
    assert ("airlock_http_requests", 1, {"method": "GET", "route": "/livez", "status": "200"}) in [
        (name, value, {key: word for key, word in labels.items() if key != "service_name"})
        for name, value, labels in updates
    ]
    assert {name for name, _, _ in updates} == {
        "airlock_http_requests",
        "airlock_stage_seconds",
        QUEUE_AGE_SECONDS.name,
    }


@pytest.mark.parametrize("text", ["rm -rf /\n", "", "quick_checks ", "x" * 100_000])
def test_text_that_the_table_does_not_know_never_becomes_a_label(text: str) -> None:
    buffer = MetricBuffer(1000)
    instruments = Instruments(Runtime(telemetry=TelemetryConfig(metrics=buffer)).metric_meter)

    instruments.count(STAGE_FAILURES, stage=text, code=text)
    instruments.count(HTTP_REQUESTS, method=text, route="/livez", status="200")

    words = [word for each in buffer.retrieve_updates() for word in each.attributes.values()]
    assert words.count(OTHER) == 3
    assert text not in words


def test_every_code_of_ours_can_be_counted() -> None:
    codes = next(label.words for label in STAGE_FAILURES.labels if label.name == "code")

    assert {kind.code for kind in PlatformError.__subclasses__()} <= set(codes)


def test_the_words_of_the_workers_are_those_of_the_table() -> None:
    words = {(metric.name, label.name): label.words for metric in METRICS for label in metric.labels}

    assert set(words["airlock_runs_reaped", "reason"]) == {reason.name.lower() for reason in Reason}
    assert all(hasattr(Sweep, chore) for chore in words["airlock_swept", "chore"])


def test_an_address_that_is_taken_is_refused_in_a_sentence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(MetricsUnservable, match="AIRLOCK_METRICS_ADDRESS"),
    ):
        serve_metrics(f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_reads_metrics_and_labels_that_there_are(rule: dict[str, str]) -> None:
    read = selectors(rule["expr"])

    assert read
    for selector in read:
        if selector.name in {"up", *SDK_METRICS}:
            continue
        metric = BY_NAME[(selector.name or "").removesuffix("_bucket")]
        assert selector.name == metric.exposed_name or metric.kind is Kind.HISTOGRAM
        words = {label.name: label.words for label in metric.labels}
        for matcher in selector.matchers.matchers:
            named = matcher.value.split("|") if words[matcher.name] else []
            assert set(named) <= set(words[matcher.name]), matcher


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_the_operations_page_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert f"\n### {rule['alert']}\n" in Path(ROOT, "docs/operations.md").read_text("utf-8")
