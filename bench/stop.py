"""How long a stop takes, from the request to the death of the run's last process, through each of its doors.

    .venv/bin/python bench/stop.py [stops of each kind, 200 by default]

Real processes, sandbox and Temporal. Death is seen from outside: by the kernel's pidfd of every process of the run.
"""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measured import keep, quantiles
from domain.lifecycle import Status
from tests.dev_temporal import temporal_binary
from tests.e2e.stack import Stack, a_stack

METHOD = (
    "one evaluation at a time is executed until it idles or spins, then stopped; the clock runs from the moment before "
    "the request (api: POST /stop; client: a signal by an open client; cli: `temporal workflow signal`, its own start "
    "included) until the kernel reports the end of every process of the run by pidfd"
)
BEGIN = """def evaluate_model(model):
    if model.generate('x').startswith('This is'):
        return
    print('here', flush=True)
"""
AWAITS_STOP = {
    "idle": f"import time\n\n\n{BEGIN}    time.sleep(600)\n",
    # On every core, in C, where no signal handler of Python would run
    "spinning": f"import hashlib, os, threading\n\n\n{BEGIN}    for _ in range(os.cpu_count()):\n"
    "        spin = lambda: hashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)\n"
    "        threading.Thread(target=spin).start()\n",
}
WITHIN_SECONDS = 30

Door = Callable[[str], Awaitable[object]]


async def main(count: int) -> None:
    """Measure each script behind each door."""
    figures: dict[str, object] = {}
    async with a_stack() as stack:
        await stack.start("api")
        headers = {"Authorization": f"Bearer {await stack.make_key()}"}
        async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, trust_env=False, timeout=30) as http:
            for door_name, door in doors(stack, http).items():
                for kind, script in AWAITS_STOP.items():
                    stops = [await one_stop(stack, script, door) for _ in range(count)]
                    figures[f"{door_name}, {kind}"] = quantiles(stops)
                    print(door_name, kind, figures[f"{door_name}, {kind}"], flush=True)
    keep("stop", METHOD, figures)


def doors(stack: Stack, http: httpx.AsyncClient) -> dict[str, Door]:
    """Every way to stop."""

    async def api(evaluation_id: str) -> None:
        (await http.post(f"/api/v1/evaluations/{evaluation_id}/stop", json={"reason": "measured"})).raise_for_status()

    async def client(evaluation_id: str) -> None:
        await stack.client.get_workflow_handle(evaluation_id).signal("emergency_stop", "measured")

    async def cli(evaluation_id: str) -> None:
        command = [temporal_binary(), "workflow", "signal", "--address", stack.temporal_address, "-w", evaluation_id]
        words = ["--name", "emergency_stop", "--input", '"measured"']
        await asyncio.to_thread(subprocess.run, [*command, *words], check=True, stdout=subprocess.DEVNULL)

    return {"api": api, "client": client, "cli": cli}


async def one_stop(stack: Stack, script: str, door: Door) -> float:
    """Seconds from the request to the end of the run's last process."""
    evaluation_id = await stack.submit(script)
    await stack.reached(evaluation_id, Status.EXECUTING)
    said: list[object] = []
    while "here" not in said:
        await asyncio.sleep(0.02)
        said = [entry.payload.get("text") for entry in await stack.journal.read(evaluation_id)]
    descriptors = [os.pidfd_open(process) for process in stack.run_processes()]
    assert descriptors, "nothing runs"
    watching = asyncio.create_task(asyncio.to_thread(last_death, descriptors))
    began = time.perf_counter()
    await door(evaluation_id)
    died = await watching
    await stack.reached(evaluation_id, Status.STOPPED)
    return died - began


def last_death(descriptors: list[int]) -> float:
    """When the last of these processes had ended."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    left, until = set(descriptors), time.perf_counter() + WITHIN_SECONDS
    while left:
        assert time.perf_counter() < until, "a run outlived its stop"
        for descriptor, _ in poll.poll(1000):
            poll.unregister(descriptor)
            left.discard(descriptor)
    died = time.perf_counter()
    for descriptor in descriptors:
        os.close(descriptor)
    return died


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
