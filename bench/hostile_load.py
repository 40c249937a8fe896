"""Whether hostile scripts delay others: honest POSTs alone, and beside submissions that are made to stop the clock.

    python bench/hostile_load.py [--count 60] [--hostile 4]

One API process with a SQLite file, a dev server of Temporal, no worker. Honest submissions go one at a time,
every 0.1 s, in blocks of ten: alone, beside so many clients that send honest scripts without a pause, and
beside as many that send hostile ones, each after the answer to its last. So all conditions see the same load of
the machine, and the second tells what is load and not hostility. Prints the method, p50 and p95 of each, the
ratios, what the hostile scripts were answered, and writes bench/results/hostile_load.json.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx

from bench.api import SCRIPT, api, measured, prepared
from bench.measured import keep, quantiles
from tests.dev_temporal import dev_temporal

BLOCK = 10
EVERY_SECONDS = 0.1
CONDITIONS = ("alone", "beside_honest", "beside_hostile")
METHOD = (
    "POST to an answer in ms, honest scripts of 4 KB one at a time: alone, beside clients that send honest scripts "
    "without a pause, and beside as many that send hostile ones, in alternating blocks of ten"
)
HOSTILE = (
    "(" * 50_000,
    "x = " + "-" * 5_000 + "1",
    "a" + ".b" * 20_000,
    "x = " + "+".join("'a'" for _ in range(12_000)),
    "x = [" + "1," * 60_000 + "]",
    "x=1\n" * 30_000,
    "x = '" + "a" * 130_000 + "'",
    "x = " + "9" * 4_000 + " ** 9" * 40,
    "def f():\n" + "".join(" " * depth + "if x:\n" for depth in range(1, 95)) + " " * 95 + "pass\n",
    "x = f'" + "{x!r:>{x}}" * 2_000 + "'",
    "\n".join(f"m{i} = m{i + 1}" for i in range(6_000)) + "\n",
    "x = '\\N{BULLET}" * 1 + "\\u202e" * 20_000 + "'",
    "class A" + "(A)" + ":\n  x = " + "lambda: " * 80 + "1\n",
)


async def noise(http: httpx.AsyncClient, now: list[str], answers: Counter[int], first: int) -> None:
    """Send one script after another, of the kind that the condition asks for."""
    for script in itertools.islice(itertools.cycle(HOSTILE), first, None):
        if now[0] == "alone":
            await asyncio.sleep(0.01)
            continue
        is_hostile = now[0] == "beside_hostile"
        try:
            answer = await http.post("/api/v1/evaluations", content=body(script if is_hostile else SCRIPT))
            answers[answer.status_code] += is_hostile
        except httpx.HTTPError:
            answers[0] += is_hostile


def body(script: str) -> bytes:
    """A submission."""
    return json.dumps({"model_id": "mock", "script": script}).encode()


async def blocks(http: httpx.AsyncClient, count: int, clients: int) -> tuple[dict[str, list[float]], Counter[int]]:
    """Times of honest submissions in seconds by condition, and what hostile ones were answered."""
    times: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    now, answers = ["alone"], Counter[int]()
    sending = [asyncio.create_task(noise(http, now, answers, number)) for number in range(clients)]

    async def submit() -> None:
        answer = await http.post("/api/v1/evaluations", content=body(SCRIPT))
        assert answer.status_code == 202, answer.text

    try:
        for number in range(len(CONDITIONS) * count):
            now[0] = CONDITIONS[number // BLOCK % len(CONDITIONS)]
            if number % BLOCK == 0:
                await asyncio.sleep(1)  # what is under way ends, or gets under way
            times[now[0]].append(await measured(submit) / 1000)
            await asyncio.sleep(EVERY_SECONDS)
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
    return times, answers


async def figures(url: str, secret: str, count: int, clients: int) -> dict[str, object]:
    """Everything that is to be shown."""
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
        for _ in range(BLOCK):
            await http.post("/api/v1/evaluations", content=body(SCRIPT))
        times, answers = await blocks(http, count, clients)
    shown = {name: quantiles(each) for name, each in times.items()}
    hostile, honest = shown["beside_hostile"]["p95_ms"], shown["beside_honest"]["p95_ms"]
    return {
        **shown,
        "p95_hostile_over_honest": round(hostile / honest, 2),
        "p95_hostile_over_alone": round(hostile / shown["alone"]["p95_ms"], 2),
        "clients": clients,
        "hostile_answers": dict(answers),
    }


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="honest submissions of each kind")
    parser.add_argument("--hostile", type=int, default=4, help="clients that send besides")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, dev_temporal(Path(name) / "server.log") as temporal:
        folder = Path(name)
        url, secret = asyncio.run(prepared(folder))
        with api(folder, url, temporal) as address:
            keep("hostile_load", METHOD, asyncio.run(figures(address, secret, asked.count, asked.hostile)))


if __name__ == "__main__":
    main()
