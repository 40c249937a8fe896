"""Each fault in turn while many evaluations are under way, on a team's set-up: what became of every one of them.

    .venv/bin/python bench/faults.py [evaluations under each fault, 200 by default [fault ...]]

A fault is named as in tests/e2e/faults.py; without a name all are tried. Needs TEMPORAL_ADDRESS and TEST_POSTGRES_URL,
and breaks those servers.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measured import keep
from storage.evaluations import EvaluationRecord
from tests.e2e.faults import FAULTS, Client, under_way
from tests.e2e.outside import judged
from tests.e2e.servers import ServerStack, a_server_stack

METHOD = (
    "two processes of each role on a Temporal with Postgres; evaluations are submitted over HTTP under an "
    "Idempotency-Key, four fifths before and one while the fault strikes, which it does as soon as some are being "
    "executed, and all are waited for; whether one was executed twice is seen from outside, by the model's endpoint, "
    "and in the journal"
)
WITHIN_SECONDS = 900
AT_ONCE = 50


async def main(count: int, faults: Sequence[str]) -> None:
    """Each fault once. The figures are kept after every one: the last may take long."""
    figures: dict[str, object] = {"evaluations_under_each_fault": count}
    async with a_server_stack() as stack:
        headers = {"Authorization": f"Bearer {await stack.make_key()}"}
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60, limits=limits) as http:
            for fault in faults:
                figures[fault] = await struck(stack, http, fault, count)
                keep("faults", METHOD, figures)


async def struck(stack: ServerStack, http: httpx.AsyncClient, fault: str, count: int) -> dict[str, object]:
    """What became of the evaluations under one fault."""
    client = Client(http, [stack.address_of("requests-1"), stack.address_of("requests-2")])
    name, began = fault.replace(" ", "-"), time.perf_counter()
    before = count * 4 // 5
    ids = list(await asyncio.gather(*(client.submit(f"{name}-{number}") for number in range(before))))
    await under_way(stack, ids)
    striking = asyncio.create_task(FAULTS[fault](stack))
    ids += await asyncio.gather(*(client.submit(f"{name}-{number}") for number in range(before, count)))
    await striking
    records = await settled(stack, ids)
    verdict = await judged(stack.database, stack.outside, records)
    return {
        "ends": verdict.ends,
        "causes": Counter(f"{record.cause.code}: {record.cause.message}" for record in records if record.cause),
        "lost": len(verdict.lost),
        "stuck": len(verdict.stuck),
        "twice": len(verdict.twice),
        "without_a_cause": len(verdict.mute),
        "untrue": len(verdict.untrue),
        "odd_answers": client.odd[:5],
        "refused_with_503": client.refusals,
        "processes_left": not await stack.buried(),
        "seconds": round(time.perf_counter() - began, 1),
    }


async def settled(stack: ServerStack, ids: Sequence[str]) -> list[EvaluationRecord]:
    """The rows once all have ended; where some do not, as they are then: the verdict tells which are stuck."""
    with suppress(AssertionError):
        return await stack.ended(ids, WITHIN_SECONDS)
    return [await stack.record(evaluation_id) for evaluation_id in ids]


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, sys.argv[2:] or list(FAULTS)))
