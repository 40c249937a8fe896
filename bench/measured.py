"""What every benchmark says of itself: the machine, its quantiles, and its figures as a file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def quantiles(seconds: Sequence[float]) -> dict[str, float | int]:
    """Count, p50, p95 and maximum, in milliseconds."""
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"count": len(ordered), "p50_ms": at(0.5), "p95_ms": at(0.95), "max_ms": round(1000 * ordered[-1], 1)}


def keep(name: str, method: str, figures: Mapping[str, Any]) -> None:
    """Print the figures with their method, and write them to bench/results."""
    whole = {
        "method": method,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, {platform.machine()}",
        "load": [round(load, 1) for load in os.getloadavg()],
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(whole, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", "utf-8")
    print(text)
