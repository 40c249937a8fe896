"""What the one view of a namespace with 2,000 pods costs: memory and processor time of a process that has nothing else.

    .venv/bin/python bench/reflector.py [pods, 2000 by default] [seconds, 20 by default]

Needs no cluster: a small API server of our own tells of pods that were captured from a real one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.measured import keep
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.reflector import Reflector

METHOD = (
    "a process follows all pods of a namespace over HTTP as the monitor does, and looks at every one twice a second; "
    "pods are a captured one under other names; 50 of them change each second; memory is the highest that the process "
    "ever had, `before` what it had when everything was imported; processor time begins when the first list is complete"
)
CAPTURED = Path(__file__).parents[1] / "tests" / "sandbox" / "kubernetes" / "captured" / "running.json"
CHANGES_PER_SECOND = 50
LOOK_EVERY = 0.5


async def main(count: int, seconds: float) -> None:
    """Serve, have it followed, and write down what that cost."""
    async with served(count) as url:
        with tempfile.TemporaryDirectory() as directory:
            kubeconfig = Path(directory) / "kubeconfig"
            kubeconfig.write_text(json.dumps(config(url)))
            words = [__file__, "follow", str(kubeconfig), str(count), str(seconds)]
            child = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
            told, _ = await child.communicate()
    keep("reflector", METHOD, {"pods": count, **json.loads(told)})


async def follow(kubeconfig: Path, count: int, seconds: float) -> None:
    """In a process of its own: follow, look, and print the cost."""
    before = memory_mb("VmRSS")
    async with (
        Cluster.connect(kubeconfig) as cluster,
        Reflector(cluster, "executions", "").running() as reflector,
    ):
        began = time.perf_counter()
        await reflector.listed()
        listed, spent, start = time.perf_counter() - began, time.process_time(), time.perf_counter()
        first = {pod.uid: pod.resource_version for pod in reflector.pods()}
        pods = reflector.pods()
        while time.perf_counter() - start < seconds:
            await asyncio.sleep(LOOK_EVERY)
            pods = reflector.pods()
        changed = sum(first[pod.uid] != pod.resource_version for pod in pods)
        share = (time.process_time() - spent) / (time.perf_counter() - start)
    assert len(pods) == count
    assert changed > 0
    figures = {"before_mb": before, "peak_mb": memory_mb("VmHWM"), "processors": round(share, 3), "list_s": listed}
    print(json.dumps(figures))


def memory_mb(name: str) -> float:
    """Of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024, 1)


@asynccontextmanager
async def served(count: int) -> AsyncGenerator[str]:
    """An API server with pods. Its URL."""
    pods = [a_pod(number) for number in range(count)]

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await watched(request, pods)
        at, size = int(request.query.get("continue") or 0), int(request.query["limit"])
        following = str(at + size) if at + size < count else None
        metadata = {"resourceVersion": "1", "continue": following}
        return web.json_response({"metadata": metadata, "items": pods[at : at + size]})

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/executions/pods", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def watched(request: web.Request, pods: list[dict[str, Any]]) -> web.StreamResponse:
    """One pod after another changes."""
    response = web.StreamResponse()
    await response.prepare(request)
    version = 1
    while True:
        version += 1
        pod = pods[version % len(pods)]
        pod["metadata"]["resourceVersion"] = str(version)
        try:
            await response.write(json.dumps({"type": "MODIFIED", "object": pod}).encode() + b"\n")
        except ConnectionError:
            return response
        await asyncio.sleep(1 / CHANGES_PER_SECOND)


def a_pod(number: int) -> dict[str, Any]:
    """One that was captured, under another name."""
    pod = deepcopy(json.loads(CAPTURED.read_text())["pod"])
    pod["metadata"] |= {"name": f"ev-{number}", "uid": f"uid-{number}", "resourceVersion": "1"}
    pod["metadata"]["managedFields"] = [{"manager": "kubelet", "fieldsV1": {"f:status": {"f:phase": {}}}}] * 10
    return pod


def config(url: str) -> dict[str, Any]:
    """A kubeconfig."""
    named = {"name": "bench"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{**named, "cluster": {"server": url}}],
        "users": [{**named, "user": {"token": "none"}}],
        "contexts": [{**named, "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["follow"]:
        asyncio.run(follow(Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
    else:
        asyncio.run(
            main(
                int(sys.argv[1]) if len(sys.argv) > 1 else 2000,
                float(sys.argv[2]) if len(sys.argv) > 2 else 20.0,
            )
        )
