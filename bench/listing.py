"""How long a list and a status take where 100,000 evaluations have ended.

.venv/bin/python bench/listing.py [evaluations, 100,000 by default].
"""

from __future__ import annotations

import asyncio
import base64
import gc
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, insert

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.api import api, prepared
from bench.measured import keep, quantiles
from domain.evaluation import Cause, EffectiveConfig
from domain.findings import Finding, Severity
from domain.lifecycle import Stage, Status
from domain.outcomes import RunOutcome
from domain.policy import Policy
from domain.runs import Attempt, Backend, Isolation
from storage.database import Database
from storage.entries import status_entry
from storage.records import RecordSummary, StoredReport
from storage.tables import evaluations, journal
from tests.dev_temporal import dev_temporal

METHOD = (
    "rows with a result of 4 KB, 5 findings and 50 attempts each, of ten tenants; GET of the list (20, first page; "
    "200; 20 of one status; 20 from a place in the middle) and of a status over HTTP, one client, one at a time"
)
TENANTS = 10
ASKED = 200
AT_ONCE = 2_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
WANTED_MS = 100


def main(count: int) -> None:
    """Measure once."""
    with tempfile.TemporaryDirectory() as name, dev_temporal(Path(name) / "server.log") as temporal:
        folder = Path(name)
        url, secret = asyncio.run(prepared(folder))
        began = time.monotonic()
        ids = asyncio.run(filled(url, count))
        took = time.monotonic() - began
        with api(folder, url, temporal) as base:
            figures = asyncio.run(asked(base, secret, ids))
        gc.collect()
    keep("listing", METHOD, {"evaluations": count, "filled_in_s": round(took), "wanted_p95_ms": WANTED_MS, **figures})


async def filled(url: str, count: int) -> list[str]:
    """The ids of ended evaluations of the tenant that asks."""
    rng, ids = random.Random(7), list[str]()
    async with Database(url) as database:
        for start in range(0, count, AT_ONCE):
            rows = [a_row(rng, number) for number in range(start, min(start + AT_ONCE, count))]
            await database.write(keep_rows, rows)
            ids += [row["evaluation_id"] for row in rows if row["tenant"] == "bench"]
    return ids


def keep_rows(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Rows with the first entry of their journals."""
    connection.execute(insert(evaluations), rows)
    entry = status_entry(Status.COMPLETED, BEGAN)
    values = {"at": entry.at, "kind": entry.kind, "run": "", "payload": "{}", "seq": 1}
    connection.execute(
        insert(journal), [{**values, "evaluation_id": row["evaluation_id"], "tenant": row["tenant"]} for row in rows]
    )


def a_row(rng: random.Random, number: int) -> dict[str, Any]:
    """One that has ended."""
    at = BEGAN + timedelta(seconds=number)
    completed = rng.random() < 0.8
    findings = tuple(
        Finding(
            rule="reads_environment", severity=Severity.MEDIUM, message="Reads os.environ.", line=n, snippet="x" * 80
        )
        for n in range(5)
    )
    attempts = tuple(Attempt(kind="open", target=f"/usr/lib/python3/{n}", allowed=True) for n in range(50))
    report = StoredReport(
        run_id="run",
        outcome=RunOutcome.COMPLETED if completed else RunOutcome.EXCEPTION,
        isolation=Isolation(backend=Backend.BUBBLEWRAP, level=2),
        has_result=completed,
        result={"text": "r" * 4000} if completed else None,
        record=RecordSummary(attempts=attempts),
    )
    cause = None if completed else Cause(stage=Stage.POD_EXECUTION, code="exception", message="ValueError")
    return {
        "evaluation_id": "eval_" + base64.b32encode(rng.randbytes(17)).decode().lower()[:26],
        "tenant": "bench" if rng.randrange(TENANTS) == 0 else f"tenant-{rng.randrange(TENANTS)}",
        "status": Status.COMPLETED if completed else Status.FAILED,
        "stage": Stage.POD_EXECUTION,
        "outcome": report.outcome,
        "model_id": "mock",
        "script_sha256": rng.randbytes(32).hex(),
        "script_size": 4000,
        "config": EffectiveConfig(),
        "policy": Policy(),
        "queued_at": at,
        "updated_at": at,
        "ended_at": at,
        "findings": findings,
        "findings_digest": "f" * 64,
        "cause": cause,
        "report": report,
        "last_seq": 1,
        "journal_bytes": 200,
        "journal_full": False,
    }


async def asked(base: str, secret: str, ids: list[str]) -> dict[str, Any]:
    """The quantiles of each question."""
    rng, root = random.Random(8), "/api/v1/evaluations"
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30, trust_env=False) as http:
        middle = await a_cursor_in_the_middle(http, root, len(ids))

        async def times(path: str, **params: Any) -> dict[str, float | int]:
            taken: list[float] = []
            for _ in range(ASKED):
                place = path.format(id=rng.choice(ids))
                began = time.perf_counter()
                answer = await http.get(place, params=params)
                taken.append(time.perf_counter() - began)
                assert answer.status_code == 200, answer.text
            return quantiles(taken)

        return {
            "first_page_of_20": await times(root),
            "page_of_200": await times(root, limit=200),
            "page_of_one_status": await times(root, status="failed"),
            "page_in_the_middle": await times(root, cursor=middle),
            "status": await times(root + "/{id}/status"),
        }


async def a_cursor_in_the_middle(http: httpx.AsyncClient, root: str, count: int) -> str:
    """Where half of the pages have been read."""
    cursor: str | None = None
    for _ in range(max(1, count // 400)):
        page = (await http.get(root, params={"limit": 200, **({"cursor": cursor} if cursor else {})})).json()
        cursor = page["next_cursor"]
    assert cursor is not None
    return cursor


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
