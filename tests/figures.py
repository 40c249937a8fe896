"""Instruments whose figures a test can read."""

from __future__ import annotations

from collections.abc import Mapping

from domain.metrics import Metric
from workflows.metrics import Instruments, labels_of


class Figures(Instruments):
    """Keeps what was counted, observed and put, by metric and labels."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: dict[tuple[str, ...], int] = {}
        self.observed: dict[tuple[str, ...], list[float]] = {}
        self.gauges: dict[tuple[str, ...], float] = {}

    def add(self, metric: Metric, number: int, /, **labels: str) -> None:
        key = _key(metric, labels)
        self.counted[key] = self.counted.get(key, 0) + number

    def observe(self, metric: Metric, seconds: float, /, **labels: str) -> None:
        self.observed.setdefault(_key(metric, labels), []).append(seconds)

    def put(self, metric: Metric, value: float, /, **labels: str) -> None:
        self.gauges[_key(metric, labels)] = value


def _key(metric: Metric, labels: Mapping[str, str]) -> tuple[str, ...]:
    return (metric.name, *labels_of(metric, labels).values())
