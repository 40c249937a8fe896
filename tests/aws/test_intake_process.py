"""The whole way: a function accepts and queues, a process of the role intake starts, and leaves when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.serverless.gateways import Queued
from api.settings import ApiSettings
from storage.database import Database, migrate
from storage.evaluations import Evaluations
from tests.aws.conftest import CREDENTIALS, REGION, ROOT, Boto
from tests.aws.killed_intake import CALLS
from tests.aws.test_intake_queue import waiting
from tests.dev_temporal import dev_temporal
from tests.storage.rows import new
from worker.intake import Intake
from workflows.aws.intake_queue import IntakeQueue, Order
from workflows.aws.signed_http import SignedHttp
from workflows.client import Workflows, connect

pytestmark = [pytest.mark.aws, pytest.mark.temporal, pytest.mark.slow]


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dev_temporal(tmp_path_factory.mktemp("temporal") / "log") as address:
        yield address


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'airlock.db'}"
    migrate(url)
    return url


def an_intake(url: str, temporal: str, ready: Path, **own: str) -> subprocess.Popen[str]:
    settings = {
        "PATH": os.environ["PATH"],
        "AIRLOCK_DATABASE_URL": url,
        "AIRLOCK_TEMPORAL_ADDRESS": temporal,
        "AIRLOCK_READY_FILE": str(ready),
        "AIRLOCK_AWS_REGION": REGION,
        **CREDENTIALS,
        **own,
    }
    command = [sys.executable, "-m", "worker", "--role", "intake"]
    return subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True)


async def test_what_a_function_queues_is_started_and_the_intake_leaves_in_order(
    url: str, temporal: str, queue: IntakeQueue, urls: tuple[str, str], boto: Boto, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    own = {"AIRLOCK_QUEUE_URL": urls[0], "AIRLOCK_DEAD_LETTER_QUEUE_URL": urls[1]}
    accepted = new().model_copy(
        update={"evaluation": new().evaluation.model_copy(update={"queued_at": datetime.now(UTC)})}
    )
    gateway = Queued(ApiSettings.model_validate({"database_url": url}), None, queue)
    async with Database(url) as database:
        await Evaluations(database).submit(accepted, None)
        await gateway.ping()
        for _ in range(3):
            await gateway.start(accepted.evaluation)
        boto("sqs", "send_message", QueueUrl=urls[0], MessageBody="poison")

        process = an_intake(url, temporal, ready, **own)
        try:
            await _until(lambda: _started(database, accepted.evaluation.evaluation_id))
            await asyncio.sleep(1)
            process.send_signal(signal.SIGTERM)
        except BaseException:
            process.kill()
            raise
        finally:
            _, told = await asyncio.to_thread(process.communicate, timeout=60)
    workflows = Workflows(await connect(temporal, "default"))

    assert process.returncode == 0, told
    assert await workflows.is_open(accepted.evaluation.evaluation_id)
    assert told.count('"taken_in"') == 3
    assert told.count('"started": true') >= 1
    (buried,) = await asyncio.to_thread(boto.received, urls[1])
    assert (buried["Body"], buried["MessageAttributes"]["reason"]["StringValue"]) == ("poison", "not_json")
    assert "poison" not in told


async def test_an_intake_that_is_killed_between_any_two_steps_loses_nothing_and_starts_nothing_twice(
    url: str, temporal: str, http: SignedHttp, boto: Boto
) -> None:
    accepted = dict(zip(CALLS, (new(letter) for letter in "bcdef"), strict=True))
    made = {call: [_made(boto, f"{call}-{kind}") for kind in ("queue", "dead")] for call in CALLS}
    queues = {call: IntakeQueue(http, *urls) for call, urls in made.items()}
    async with Database(url) as database:
        evaluations, workflows = Evaluations(database), Workflows(await connect(temporal, "default"))
        for call in CALLS:
            await evaluations.submit(accepted[call], None)
            await queues[call].send(Order(evaluation_id=accepted[call].evaluation.evaluation_id))
        ends = await asyncio.gather(*(_killed(call, url, temporal, *made[call]) for call in CALLS))

        following = [asyncio.create_task(Intake(queue, evaluations, workflows).run()) for queue in queues.values()]
        await _until(lambda: _empty(boto, *(each for each, _ in made.values())))
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        unstarted = await evaluations.unstarted(timedelta(0), 10)
    client = await connect(temporal, "default")
    started: list[str] = [each.id async for each in client.list_workflows()]

    assert ends == [-signal.SIGKILL] * len(CALLS)
    assert unstarted == []
    for each in accepted.values():
        assert started.count(each.evaluation.evaluation_id) == 1
    assert await _empty(boto, *(dead for _, dead in made.values()))


def _made(boto: Boto, name: str) -> str:
    return boto("sqs", "create_queue", QueueName=f"killed-{name}")["QueueUrl"]


async def _killed(call: str, url: str, temporal: str, queue: str, dead: str) -> int:
    command = [sys.executable, "-m", "tests.aws.killed_intake", call, url, temporal, queue, dead]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=os.environ | CREDENTIALS)
    async with asyncio.timeout(120):
        return await process.wait()


async def _empty(boto: Boto, *urls: str) -> bool:
    return not any([await waiting(boto, url) for url in urls])


def test_without_its_queues_the_intake_says_what_it_needs(url: str, temporal: str, tmp_path: Path) -> None:
    process = an_intake(url, temporal, tmp_path / "ready", AIRLOCK_QUEUE_URL="https://sqs.example/1/airlock")

    _, told = process.communicate(timeout=120)

    assert process.returncode == 2
    assert told.splitlines()[-1].endswith("The role intake needs AIRLOCK_DEAD_LETTER_QUEUE_URL.")


async def _started(database: Database, evaluation_id: str) -> bool:
    return await Evaluations(database).unstarted_one(evaluation_id) is None


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    last = time.monotonic() + 120
    while not await condition():
        assert time.monotonic() < last
        await asyncio.sleep(0.05)
