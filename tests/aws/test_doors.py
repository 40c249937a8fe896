"""Both ways in by Lambda, on real servers: whatever dies or comes twice, each evaluation is executed once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
import pytest_asyncio
from sqlalchemy import make_url

from domain.lifecycle import Status
from storage.keys import ApiKeys, Scope
from tests.api.serverless.conftest import a_request, an_event, words_of
from tests.aws.conftest import CREDENTIALS, REGION, Boto
from tests.aws.test_intake_queue import waiting
from tests.e2e.outside import MODEL, SCRIPT, judged
from tests.e2e.parts import ROOT
from tests.e2e.servers import EACH, ServerStack, a_server_stack

pytestmark = [pytest.mark.aws, pytest.mark.roles, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
PATH = "/api/v1/evaluations"
Made = dict[str, Any]


class Function:
    """The function in a process of its own, asked one event after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def answers(self, event: Made) -> Made:
        return await asyncio.to_thread(self._answered, event)

    def _answered(self, event: Made) -> Made:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    async def submits(self, key: str, name: str) -> str:
        body = {"model_id": MODEL, "script": SCRIPT, "config": {"params": {"name": name}}}
        answer = await self.answers(a_request("POST", PATH, body, authorization=key))
        assert answer["statusCode"] == 202, answer
        return words_of(answer)["evaluation_id"]


@contextmanager
def a_function(servers: ServerStack, log: Path, **settings: str) -> Generator[Function]:
    own = servers.parts["requests-1"].environment | settings
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.aws.function"],
            cwd=ROOT,
            env={name: value for name, value in own.items() if value},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        yield Function(process)
        assert process.stdin is not None
        process.stdin.close()


class Gateway:
    """The @connections endpoint of an API Gateway: what was pushed to each connection."""

    def __init__(self) -> None:
        self.pushed: defaultdict[str, list[Made]] = defaultdict(list)
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                gateway.pushed[unquote(self.path.rpartition("/")[2])].append(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the library's name

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/live"

    @contextmanager
    def open(self) -> Generator[None]:
        thread = Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()


class House(NamedTuple):
    """Everything behind the doors."""

    servers: ServerStack
    gateway: Gateway
    queue: str
    dead: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(boto: Boto) -> AsyncGenerator[House]:
    queue, dead = (boto("sqs", "create_queue", QueueName=f"doors{name}")["QueueUrl"] for name in ("", "-dead"))
    gateway = Gateway()
    settings = {
        "AIRLOCK_QUEUE_URL": queue,
        "AIRLOCK_DEAD_LETTER_QUEUE_URL": dead,
        "AIRLOCK_AWS_REGION": REGION,
        "AIRLOCK_CONNECTIONS_ENDPOINT": gateway.url,
        **CREDENTIALS,
    }
    with gateway.open():
        async with a_server_stack(EACH, **settings) as servers:
            yield House(servers, gateway, queue, dead)


async def a_key(house: House, tenant: str = "tests") -> str:
    made = await ApiKeys(house.servers.database).create(tenant, "a test's", frozenset(Scope), None)
    return f"Bearer {made.secret}"


async def test_what_goes_through_the_queue_is_executed_once_whatever_dies_or_comes_again(
    house: House, boto: Boto, tmp_path: Path
) -> None:
    servers, key, queue = house.servers, await a_key(house), house.queue

    with a_function(servers, tmp_path / "log") as function:
        ids = [await function.submits(key, f"queue-{n}") for n in range(3)]
        await servers.kill("intake-1")
        ids += [await function.submits(key, f"queue-{n}") for n in range(3, 8)]
        for body in (*(json.dumps({"evaluation_id": each}) for each in ids), "poison"):
            await asyncio.to_thread(boto, "sqs", "send_message", QueueUrl=queue, MessageBody=body)
        await servers.start("intake-1")
        records = await servers.ended(ids)
        told = words_of(await function.answers(a_request("GET", f"{PATH}/{ids[0]}/status", authorization=key)))

    verdict = await judged(servers.database, servers.outside, records)
    assert verdict.faultless, verdict
    assert verdict.ends == {"completed": len(ids)}
    assert told["status"] == "completed"
    async with asyncio.timeout(90):  # what the killed one held comes again when nobody has spoken for it
        while await waiting(boto, queue):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.5)
    (buried,) = await asyncio.to_thread(boto.received, house.dead)
    assert (buried["Body"], buried["MessageAttributes"]["reason"]["StringValue"]) == ("poison", "not_json")
    taken = [name for name in servers.several("intake") if '"taken_in"' in servers.parts[name].log.read_text()]
    assert taken


async def test_what_the_function_starts_itself_is_executed_without_the_queue(house: House, tmp_path: Path) -> None:
    servers, key = house.servers, await a_key(house)

    with a_function(servers, tmp_path / "log", AIRLOCK_QUEUE_URL="") as function:
        evaluation_id = await function.submits(key, "direct")
        record = await servers.reached(evaluation_id, Status.COMPLETED)
        result = words_of(await function.answers(a_request("GET", f"{PATH}/{evaluation_id}/result", authorization=key)))

    assert record.report is not None
    assert result["result"] == "direct"


async def test_who_watches_by_the_gateway_is_told_every_status_and_nobody_else_is(house: House, tmp_path: Path) -> None:
    servers, key, stranger = house.servers, await a_key(house), await a_key(house, "strangers")

    with a_function(servers, tmp_path / "log") as function:
        evaluation_id = await function.submits(key, "watched")
        for connection_id, authorization in (("ours=", key), ("theirs=", stranger)):
            joining = an_event("connect")
            joining["requestContext"]["connectionId"] = connection_id
            joining["headers"]["Authorization"] = authorization
            assert (await function.answers(joining))["statusCode"] == 200
            saying = an_event("message")
            saying["body"] = json.dumps({"action": "subscribe", "evaluation_id": evaluation_id})
            saying["requestContext"]["connectionId"] = connection_id
            await function.answers(saying)
        await servers.reached(evaluation_id, Status.COMPLETED)
        async with asyncio.timeout(60):
            while "end" not in [event["event"] for event in house.gateway.pushed["ours="]]:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.1)

    told = [event["data"]["payload"]["status"] for event in house.gateway.pushed["ours="] if event["event"] == "status"]
    assert told == ["queued", "pending_validation", "validated", "executing", "completed"]
    assert house.gateway.pushed["theirs="] == []


async def test_an_intake_has_a_database_user_of_its_own(house: House) -> None:
    named = {
        make_url(house.servers.parts[name].environment["AIRLOCK_DATABASE_URL"]).username
        for name in house.servers.several("intake")
    }

    assert named == {"airlock_intake"}


async def test_no_process_has_logged_a_defect(house: House) -> None:
    """Runs last: what all others have left."""
    broken = [
        (name, line)
        for name, part in house.servers.parts.items()
        for line in part.log.read_text("utf-8", "replace").splitlines()
        if "Traceback" in line or "permission denied" in line or '"level": "error"' in line
    ]

    assert [(name, line) for name, line in broken if '"message_buried"' not in line] == []
