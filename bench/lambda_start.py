"""How long a cold start of the function takes: a fresh process, from its first line to the answer to its first event.

TEST_POSTGRES_URL=... .venv/bin/python bench/lambda_start.py [starts of each kind, 10 by default].
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measured import keep, quantiles
from sandbox.environment_description import describe_environment
from storage.database import Database, migrate
from storage.keys import ApiKeys, Scope
from tests.api.serverless.conftest import a_request
from tests.dev_temporal import dev_temporal
from tests.storage.conftest import a_schema

ROOT = Path(__file__).parents[1]
METHOD = (
    "each start is a process of its own: the interpreter's first line, import of the handler, connections to a "
    "Postgres (schema and rights looked at) and, for POST, a child for the quick checks and a workflow started in "
    "Temporal; "
    "`process` counts the interpreter's own start too, `processor` its "
    "seconds on a processor. Code is compiled already, as it is in a deployed function"
)
WANTED_MS = 1500
PROGRAM = """
import time; began = time.perf_counter()
import json, sys
class Time:
    def get_remaining_time_in_millis(self): return 29000
event = json.load(sys.stdin)
from api.serverless.handler import handle
imported = time.perf_counter()
first = handle(event, Time()); answered = time.perf_counter(); used = time.process_time()
second = handle(event, Time()); again = time.perf_counter()
print("\\n" + json.dumps([first["statusCode"], imported - began, answered - began, again - answered, used]))
sys.stdout.flush()
import os; os._exit(0)
"""


def main(starts: int) -> None:
    """Measure GET of a list, which asks the database alone, and POST of a script, which asks everybody."""
    figures: dict[str, Any] = {"wanted_ms": WANTED_MS}
    with tempfile.TemporaryDirectory() as name, a_schema() as url, dev_temporal(Path(name) / "log") as temporal:
        folder = Path(name)
        migrate(url)
        secret = asyncio.run(_key(url))
        environment = describe_environment("default", Path(sys.executable).resolve(), "the standard library")
        (folder / "default.json").write_text(environment.model_dump_json(), "utf-8")
        settings = {
            "PATH": os.environ["PATH"],
            "AIRLOCK_DATABASE_URL": url,
            "AIRLOCK_TEMPORAL_ADDRESS": temporal,
            "AIRLOCK_ENVIRONMENTS_DIR": str(folder),
            "AIRLOCK_LOG_LEVEL": "WARNING",
        }
        body = {"model_id": "mock", "script": "def evaluate_model(model):\n    return 1\n"}
        for kind, event in {
            "list": a_request("GET", "/api/v1/evaluations", authorization=f"Bearer {secret}"),
            "submission": a_request("POST", "/api/v1/evaluations", body, authorization=f"Bearer {secret}"),
        }.items():
            figures[kind] = _started(event, settings, starts)
    keep("lambda_start", METHOD, figures)


def _started(event: dict[str, Any], settings: dict[str, str], starts: int) -> dict[str, Any]:
    whole: list[float] = []
    told: list[list[float]] = []
    for _ in range(starts + 1):  # the first one compiles
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps(event),
            cwd=ROOT,
            env=settings,
            capture_output=True,
            text=True,
            check=True,
        )
        whole.append(time.perf_counter() - began)
        told.append(json.loads(done.stdout.splitlines()[-1]))
        assert told[-1][0] in {200, 202}, done.stderr
    return {
        "process": quantiles(whole[1:]),
        "imported": quantiles([each[1] for each in told[1:]]),
        "answered": quantiles([each[2] for each in told[1:]]),
        "second_event": quantiles([each[3] for each in told[1:]]),
        "processor": quantiles([each[4] for each in told[1:]]),
    }


async def _key(url: str) -> str:
    async with Database(url) as database:
        return (await ApiKeys(database).create("bench", "", frozenset(Scope), None)).secret


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
