"""One Temporal dev server for the session; each test has its own client, workers and evaluation."""

from __future__ import annotations

import gc
import random
from collections.abc import AsyncGenerator, Generator

import pytest
from temporalio.client import Client

from domain.evaluation import Evaluation
from tests.builders import an_evaluation
from tests.dev_temporal import dev_temporal
from workflows.client import connect

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@pytest.fixture(scope="session")
def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with dev_temporal(tmp_path_factory.mktemp("temporal") / "server.log") as address:
        yield address
    gc.collect()  # a client that lives on may crash the interpreter's exit


@pytest.fixture
async def client(temporal_address: str) -> AsyncGenerator[Client]:
    """Leaves nothing open: the queues are everybody's."""
    client = await connect(temporal_address, "default")
    yield client
    async for left in client.list_workflows("ExecutionStatus='Running'"):
        await client.get_workflow_handle(left.id).terminate("the test is over")


@pytest.fixture
def evaluation() -> Evaluation:
    return an_evaluation().model_copy(update={"evaluation_id": "eval_" + "".join(random.choices(ALPHABET, k=26))})
