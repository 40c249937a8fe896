"""What real processes serve is what the page documents, from the first request to the end of an evaluation."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import httpx
import pytest

from domain.lifecycle import Status
from domain.metrics import METRICS
from tests.dev_temporal import free_port
from tests.e2e.stack import Stack
from workflows.metric_page import SDK_METRICS

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
FAMILY = re.compile(r"^# TYPE (\S+) ", re.MULTILINE)
SCRIPT = "def evaluate_model(model):\n    return model.generate('1 + 1')\n"


async def test_every_metric_that_is_served_is_documented_and_an_evaluation_leaves_its_figures() -> None:
    with tempfile.TemporaryDirectory(prefix="airlock-metrics-") as directory:
        os.chmod(directory, 0o711)  # noqa: PTH101 - nothing waits for it
        stack = Stack(Path(directory))
        urls = {name: _metered(stack, name) for name in stack.parts if name != "temporal"}
        async with stack, httpx.AsyncClient(trust_env=False) as client:
            await stack.start("api")
            [record] = await stack.ended([await stack.submit(SCRIPT)])
            served = {name: (await client.get(url)).text for name, url in urls.items()}

    assert record.status is Status.COMPLETED
    families = {family for text in served.values() for family in FAMILY.findall(text)}
    assert families <= {metric.exposed_name for metric in METRICS} | set(SDK_METRICS)
    assert 'airlock_stage_verdicts_total{stage="sandbox_trial",verdict="approved"} 1' in served["validation"]
    assert 'outcome="completed",purpose="execution"} 1' in served["execution"]
    assert 'airlock_evaluations_ended_total{status="completed"} 1' in served["records"]
    assert 'airlock_runs_unkillable_total{reason="overdue"} 0' in served["monitor"]
    assert 'route="/readyz",status="200"' in served["api"]


def _metered(stack: Stack, name: str) -> str:
    address, part = f"127.0.0.1:{free_port()}", stack.parts[name]
    part.environment = part.environment | {"AIRLOCK_METRICS_ADDRESS": address}
    return f"http://{address}/metrics"
