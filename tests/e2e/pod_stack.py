"""A stack whose scripts run in pods, in namespaces of its own, watched by two monitors."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from domain.evaluation import EvaluationConfig
from domain.journal import EntryKind
from domain.lifecycle import Status
from storage.tables import evaluations
from tests.e2e.outside import MODEL, SCRIPT
from tests.e2e.parts import text_of
from tests.e2e.stack import Stack, a_stack
from tests.sandbox.kubernetes.world import EXECUTIONS, TRIALS, World, entered, namespace_of_its_own
from worker.pods import LEASE_NAME

SLEEPS = """import time


def evaluate_model(model):
    if 'noted' not in model.generate('be noted now').lower():
        return
    print('here', flush=True)
    time.sleep(600)
"""


COUNTED = SCRIPT.replace("        time.sleep(", "        print(step, flush=True)\n        time.sleep(")
"""Tells of each step that was seen from outside."""


class PodStack:
    """A stack on the cluster, with namespaces of its own and two monitors."""

    def __init__(self, world: World, stack: Stack, namespaces: dict[str, str]) -> None:
        self.world = world
        self.stack = stack
        self.namespaces = namespaces

    async def leader(self) -> str:
        """The monitor that holds the Lease."""
        for _ in range(100):
            lease = self.world.kubectl(
                *("get", "lease", "-n", self.namespaces["own"], LEASE_NAME, "-o", "jsonpath={.spec.holderIdentity}")
            )
            for name in ("monitor", "monitor-2"):
                if f":{self.stack.parts[name].pid}:" in lease.stdout:
                    return name
            await asyncio.sleep(0.2)
        pytest.fail("nobody leads")

    async def here(self, seed: int, script: str = SLEEPS) -> str:
        """An evaluation whose script runs in its pod. Returns its id."""
        evaluation_id = await self.stack.submit(script, EvaluationConfig(timeout=300, seed=seed), model_id=MODEL)
        await self.stack.reached(evaluation_id, Status.EXECUTING)
        for _ in range(300):
            entries = await self.stack.journal.read(evaluation_id, kinds=frozenset({EntryKind.LOG}))
            if any(entry.payload["text"] == "here" for entry in entries):
                return evaluation_id
            await asyncio.sleep(0.1)
        pytest.fail("the script does not run")

    @staticmethod
    def rows(connection: Connection) -> int:
        """How many evaluations there are."""
        return connection.execute(select(func.count()).select_from(evaluations)).scalar_one()

    async def killed_at(self, points: Iterable[str], script: str = COUNTED) -> dict[str, str]:
        """An evaluation for each point, whose execution worker was killed there. Returns their ids.

        Another worker takes over when all have died.
        """
        stack, ids = self.stack, dict[str, str]()
        if (process := stack.parts["execution"].process) is not None and process.poll() is None:
            await stack.kill("execution")
        for number, point in enumerate(points):
            config = EvaluationConfig(timeout=120, params={"name": f"killed-{number}-{len(stack.parts)}"})
            ids[point] = await stack.submit(script, config, model_id=MODEL)
            name = f"mortal-{number}"
            stack._add_worker(name, "execution")  # pyright: ignore[reportPrivateUsage]
            command = [sys.executable, "-m", "tests.e2e.mortal_worker", point, "--role", "execution"]
            stack.parts[name].command = command
            stack.parts[name].start()
            code = await stack.parts[name].left()
            assert code == -signal.SIGKILL, f"{point}: {code}, {stack.parts[name].tail()}"
        await stack.start("execution")
        return ids

    async def is_clean(self, within: float = 30) -> bool:
        """Whether the last pod of every evaluation goes in time."""
        names = [self.namespaces[each] for each in ("trials", "executions")]
        return all([await asyncio.to_thread(self.world.is_empty, name, within) for name in names])

    def acted(self, name: str) -> int:
        """How often a monitor has acted."""
        return text_of(self.stack.directory / f"{name}.log").count("monitor_acted")


@asynccontextmanager
async def a_pod_stack(directory: Path) -> AsyncGenerator[PodStack]:
    world = entered()
    with ExitStack() as names:
        trials = names.enter_context(namespace_of_its_own(world, TRIALS))
        executions = names.enter_context(namespace_of_its_own(world, EXECUTIONS))
        own = names.enter_context(namespace_of_its_own(world))
        file = directory / "cluster.toml"
        file.write_text(cluster_file(world, own, trials, executions))
        async with a_stack(AIRLOCK_SANDBOX="kubernetes", AIRLOCK_CLUSTER_FILE=str(file)) as stack:
            stack._add_worker("monitor-2", "monitor")  # pyright: ignore[reportPrivateUsage]
            await stack.start("monitor-2")
            yield PodStack(world, stack, {"trials": trials, "executions": executions, "own": own})


def cluster_file(world: World, own: str, trials: str, executions: str) -> str:
    classes = "".join(
        f'[{name}]\nnamespace = "{namespace}"\nimage_pull_policy = "Never"\n'
        f'[{name}.images.default]\nreference = "{world.image}"\n'
        for name, namespace in (("trials", trials), ("executions", executions))
    )
    return f'kubeconfig = "{world.kubeconfig}"\nnamespace = "{own}"\n{classes}'
