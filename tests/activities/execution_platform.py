"""What an execution is tried on: records in memory, a sandbox of scenes, and a workflow that listens."""

import asyncio

from temporalio.testing import ActivityEnvironment

from activities.messages import ExecutionTask, execution_run_id
from activities.pod_execution import PodExecution
from domain.runs import Attempt, ExecutionReport
from tests.builders import SCRIPT, an_evaluation
from tests.fakes import ENVIRONMENT_DIGEST, FakeSandbox, Scene
from tests.memory_records import MemoryRecords
from worker.model_providers.models import CannedModels

EVALUATION = an_evaluation()
ID = EVALUATION.evaluation_id
RUN = execution_run_id(ID)
TASK = ExecutionTask(evaluation=EVALUATION, environment_digest=ENVIRONMENT_DIGEST)
ENDLESS = Scene(endless=True)
EXFILTRATES = Attempt(kind="connect", target="203.0.113.9:443", allowed=False)


class Platform:
    """An execution worker whose surroundings a test arranges."""

    def __init__(self, scene: Scene) -> None:
        self.records = MemoryRecords()
        self.records.keep(EVALUATION.tenant, SCRIPT)
        self.sandbox = FakeSandbox(execution=scene)
        self.announced: list[str] = []
        self.environment = ActivityEnvironment()
        self.beats = 0
        self.environment.on_heartbeat = self._beat

    def _beat(self, *_: object) -> None:
        self.beats += 1

    async def announce(self, evaluation_id: str) -> None:
        self.announced.append(evaluation_id)

    def start(self, task: ExecutionTask = TASK) -> "asyncio.Task[ExecutionReport]":
        activities = PodExecution(
            self.records,
            self.records,
            self.records,
            self.sandbox,
            CannedModels(),
            announce=self.announce,
            worker="worker-1",
        )
        return asyncio.ensure_future(self.environment.run(activities.pod_execution, task))

    async def underway(self) -> "asyncio.Task[ExecutionReport]":
        running = self.start()
        await self.sandbox.began.wait()
        return running
