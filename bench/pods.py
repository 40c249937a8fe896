"""Pods beside the bare API: how long a cold run takes, how soon a stopped one is dead, and 200 evaluations on one node.

    .venv/bin/python bench/pods.py [stops of each kind, 100 by default] [queued evaluations, twice as many by default]

On the cluster that KUBECONFIG names, whose node is this machine. Cold runs are 15 in 100 stops, stops through a whole
stack 10 in 100. What has been measured is printed and kept at once. The default takes about 25
minutes on a quiet machine.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import select
import sys
import tempfile
import time
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measured import keep, quantiles
from domain.evaluation import EvaluationConfig, StopOrder
from domain.lifecycle import Status
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.manifest import SELECTOR, manifest, pod_name
from sandbox.kubernetes.pod_view import PodView
from sandbox.kubernetes.reflector import Reflector
from sandbox.local.residue import processes_of_seed
from storage.evaluations import EvaluationRecord
from tests.e2e.mortal_worker import POINTS
from tests.e2e.outside import MODEL, SCRIPT, judged
from tests.e2e.pod_stack import PodStack, a_pod_stack
from tests.sandbox.kubernetes.runs import Seen, a_run
from tests.sandbox.kubernetes.world import ENVIRONMENTS, EXECUTIONS, World, entered, namespace_of_its_own

SETTLED_SECONDS = 2.5
"""A kubelet that has seen to a pod within the last second looks once more before it ends it."""
METHOD = {
    "cold": "interleaved: `bare` creates the same pod with `print` as its command and waits until the watch shows its "
    "container terminated; `run` is a whole run of `print` by the sandbox, from the call to the report",
    "stop": "the clock runs from the stop to the end of the script's last process, which the node's kernel reports "
    "by pidfd (`dead`), and to the report of the run (`confirmed`), for which the pod has to be gone; in between "
    f"a watch tells of deletion, container's end and pod's end. The script has run for {SETTLED_SECONDS} s, and one "
    "pod follows the other",
    "stop_of_an_evaluation": "the same from a signal to the workflow, through every process of a stack; `ended`: until "
    "the row says stopped",
    "queued": "all are submitted at once; each calls a model that counts from outside who calls",
    "killed": "of one evaluation after the other, submitted like these, the execution worker is killed at the named "
    "point (SIGKILL), and another one started when all have died",
}
SPINS = "import hashlib, os, threading\n"
BEGIN = """def evaluate_model(model):
    if 'noted' not in model.generate('be noted now').lower():
        return
    print('here', flush=True)
"""
SCRIPTS = {
    "idle": f"import time\n\n\n{BEGIN}    time.sleep(600)\n",
    # On every core, in C, where no signal handler of Python would run
    "spinning": f"{SPINS}\n\n{BEGIN}    for _ in range(os.cpu_count()):\n"
    "        spin = lambda: hashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)\n"
    "        threading.Thread(target=spin).start()\n"
    "    threading.Event().wait()\n",
}
WITHIN_SECONDS = 30


async def main(count: int, evaluations: int) -> None:
    """Measure all, one after the other."""
    world = entered()
    figures: dict[str, Any] = {}

    async def measure(name: str, measuring: Awaitable[object]) -> None:
        figures[name] = await measuring
        keep("pods", "; ".join(f"{name}: {words}" for name, words in METHOD.items()), figures)

    with ExitStack() as names:
        namespace = names.enter_context(namespace_of_its_own(world, EXECUTIONS))
        world.kubectl("label", "namespace", namespace, "airlock/scripts-")  # a bare pod has another command
        placement = world.placement(namespace)
        async with (
            KubernetesSandbox.opened(world.kubeconfig, placement, ENVIRONMENTS) as sandbox,
            Cluster.connect(world.kubeconfig) as cluster,
            Reflector(cluster, namespace, SELECTOR).running() as reflector,
        ):
            await sandbox.probe()
            rounds = max(5, count * 15 // 100)
            await measure("cold", cold(world, namespace, sandbox, cluster, reflector, rounds))
            for kind, script in SCRIPTS.items():
                await measure(f"stop, {kind}", stops(sandbox, reflector, script, count))
    with tempfile.TemporaryDirectory() as directory:
        async with a_pod_stack(Path(directory)) as pods:
            for kind, script in SCRIPTS.items():
                await measure(f"stop of an evaluation, {kind}", evaluations_stopped(pods, script, max(3, count // 10)))
            await measure("queued", queued(pods, evaluations))
            await measure("killed", killed(pods))


async def cold(
    world: World, namespace: str, sandbox: KubernetesSandbox, cluster: Cluster, reflector: Reflector, rounds: int
) -> dict[str, Any]:
    """A run beside a bare pod."""
    bare: list[float] = []
    runs: list[float] = []
    for _ in range(rounds):
        bare.append(await bare_pod(world, namespace, cluster, reflector))
        began = time.perf_counter()
        report = await Seen().run(sandbox, a_run("print('x')"))
        runs.append(time.perf_counter() - began)
        assert report.receipt
        await asyncio.sleep(1.5)  # until the node has taken it away
    figures = {"bare": quantiles(bare), "run": quantiles(runs)}
    return {**figures, "ratio_of_medians": round(figures["run"]["p50_ms"] / figures["bare"]["p50_ms"], 3)}


async def bare_pod(world: World, namespace: str, cluster: Cluster, reflector: Reflector) -> float:
    """Seconds from its creation until its container is seen to have terminated."""
    request = a_run("", run_id=f"eval_{secrets.token_hex(8)}-execution")
    pod = manifest(request, world.placement(namespace), "bench", datetime.now(UTC))
    pod["spec"]["containers"][0] |= {"command": ["/usr/bin/python3", "-c", "print('x')"]}
    began = time.perf_counter()
    async with reflector.changes(pod_name(request.run_id)) as changes:
        await cluster.create_pod(namespace, pod)
        while (view := await changes.get()).terminated is None:
            pass
    took = time.perf_counter() - began
    await cluster.delete_pod(namespace, view.name, view.uid)
    await asyncio.sleep(1.5)
    return took


async def stops(sandbox: KubernetesSandbox, reflector: Reflector, script: str, count: int) -> dict[str, Any]:
    """Death and confirmation of stopped runs, and what the cluster tells between the two."""
    times: dict[str, list[float]] = {}
    for number in range(1, count + 1):
        for name, seconds in (await stopped(sandbox, reflector, script)).items():
            times.setdefault(name, []).append(seconds)
        if number % 10 == 0:
            print(f"{number} of {count} stopped, {times['confirmed'][-1]:.2f} s the last", file=sys.stderr, flush=True)
    return {name: quantiles(seconds) for name, seconds in times.items()}


async def stopped(sandbox: KubernetesSandbox, reflector: Reflector, script: str) -> dict[str, float]:
    """Seconds from the stop on."""
    seed, seen, marks = int.from_bytes(os.urandom(4), "little"), Seen(), dict[str, float]()
    request = a_run(script, seed=seed, timeout_seconds=300)
    async with reflector.changes(pod_name(request.run_id)) as changes:
        running = asyncio.create_task(seen.run(sandbox, request))
        await asyncio.wait_for(seen.printed.wait(), WITHIN_SECONDS)
        await asyncio.sleep(SETTLED_SECONDS)
        watching = death_of(seed)
        telling = asyncio.create_task(told(changes, marks))
        began = time.perf_counter()
        seen.stop.set()
        marks["dead"] = await watching
        await running
        marks["confirmed"] = time.perf_counter()
        await asyncio.wait_for(telling, WITHIN_SECONDS)
    return {name: at - began for name, at in marks.items()}


async def told(changes: asyncio.Queue[PodView], marks: dict[str, float]) -> None:
    """When a watch says for the first time that the pod is being deleted, has terminated, and is gone."""
    while "gone" not in marks:
        pod, now = await changes.get(), time.perf_counter()
        shown = {"deleting": pod.deleting, "terminated": pod.terminated is not None, "gone": pod.gone}
        for name in (name for name, is_so in shown.items() if is_so):
            marks.setdefault(name, now)


def death_of(seed: int) -> asyncio.Task[float]:
    """When the last process of a script, all of which are there now, has ended."""
    descriptors = [os.pidfd_open(int(process)) for process in processes_of_seed(seed)]
    assert descriptors, "nothing runs"
    return asyncio.create_task(asyncio.to_thread(last_death, descriptors))


def last_death(descriptors: list[int]) -> float:
    """Told by the kernel."""
    for descriptor in descriptors:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(1000 * WITHIN_SECONDS), "a run outlived its stop"
    died = time.perf_counter()
    for descriptor in descriptors:
        os.close(descriptor)
    return died


async def evaluations_stopped(pods: PodStack, script: str, count: int) -> dict[str, Any]:
    """From the signal on, through all processes."""
    stack, dead, ended = pods.stack, list[float](), list[float]()
    for _ in range(count):
        seed = int.from_bytes(os.urandom(4), "little")
        evaluation_id = await pods.here(seed, script)
        await asyncio.sleep(SETTLED_SECONDS)
        watching = death_of(seed)
        began = time.perf_counter()
        assert await stack.workflows.stop(evaluation_id, StopOrder(reason="measured"))
        dead.append(await watching - began)
        await stack.reached(evaluation_id, Status.STOPPED)
        ended.append(time.perf_counter() - began)
    return {"dead": quantiles(dead), "ended": quantiles(ended)}


async def queued(pods: PodStack, count: int) -> dict[str, Any]:
    """All at once onto one node."""
    stack, began = pods.stack, time.perf_counter()
    before = await stack.database.read(pods.rows)
    configs = (EvaluationConfig(timeout=120, params={"name": f"queued-{number}"}) for number in range(count))
    ids = [await stack.submit(SCRIPT, config, model_id=MODEL) for config in configs]
    records = await stack.ended(ids, within=900)
    took = time.perf_counter() - began
    figures = {"evaluations": count, "ended_within_s": round(took, 1), "evaluations_per_s": round(count / took, 2)}
    return figures | await faults(pods, records, before + count)


async def killed(pods: PodStack) -> dict[str, Any]:
    """The worker at each point of an execution."""
    before = await pods.stack.database.read(pods.rows)
    ids = await pods.killed_at(POINTS)
    records = await pods.stack.ended(ids.values(), within=300)
    told = {
        point: record.cause.code if record.cause else record.status for point, record in zip(ids, records, strict=True)
    }
    return {"at": told} | await faults(pods, records, before + len(ids))


async def faults(pods: PodStack, records: Sequence[EvaluationRecord], asked: int) -> dict[str, Any]:
    """What must not be: an evaluation that is lost, stuck, executed twice or mute, or a pod that is left."""
    verdict = await judged(pods.stack.database, pods.stack.outside, records, asked=asked)
    left = [name for name in pods.namespaces.values() if not await asyncio.to_thread(pods.world.is_empty, name, 30)]
    return {**verdict._asdict(), "faultless": verdict.faultless, "pods_left_in": left}


if __name__ == "__main__":
    stops_of_each = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    asyncio.run(main(stops_of_each, int(sys.argv[2]) if len(sys.argv) > 2 else 2 * stops_of_each))
