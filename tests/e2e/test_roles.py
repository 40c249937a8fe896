"""On real servers, with two processes of each role and a database user for each: every door leads to the same house."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tomllib
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import make_url

from domain.lifecycle import Status
from tests.dev_temporal import temporal_binary
from tests.e2e.outside import MODEL, SCRIPT, judged
from tests.e2e.parts import ROOT
from tests.e2e.servers import USERS, ServerStack, a_server_stack
from tests.e2e.test_pipeline import ENDLESS, EXAMPLES

pytestmark = [pytest.mark.e2e, pytest.mark.roles, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncGenerator[ServerStack]:
    async with a_server_stack() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def http(servers: ServerStack) -> AsyncGenerator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {await servers.make_key()}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as client:
        yield client


def at(servers: ServerStack, name: str, path: str = "") -> str:
    return f"{servers.address_of(name)}/api/v1/evaluations{path}"


async def submitted(http: httpx.AsyncClient, url: str, script: str, **more: Any) -> str:
    answer = await http.post(url, json={"model_id": "mock", "script": script, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()["evaluation_id"]


async def test_every_example_ends_as_it_says(servers: ServerStack, http: httpx.AsyncClient) -> None:
    examples = tomllib.loads((EXAMPLES / "examples.toml").read_text("utf-8"))["examples"]

    ids = [
        await submitted(
            http,
            at(servers, f"requests-{1 + number % 2}"),
            (EXAMPLES / example["file"]).read_text("utf-8"),
            config=example.get("config", {}),
        )
        for number, example in enumerate(examples)
    ]
    records = await servers.ended(ids)

    ends = [(record.status.value, record.cause.code if record.cause else None) for record in records]
    assert ends == [(example["status"], example.get("cause")) for example in examples]
    assert await servers.buried()


async def test_what_one_process_accepts_another_tells(servers: ServerStack, http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "roles-1"}
    body = {"model_id": "mock", "script": "print('words')\n"}

    one, other = await asyncio.gather(
        *(http.post(at(servers, f"requests-{number}"), json=body, headers=key) for number in (1, 2))
    )
    evaluation_id = one.json()["evaluation_id"]
    events = await http.get(at(servers, "streams-1", f"/{evaluation_id}/events"))
    told = await http.get(at(servers, "requests-2", f"/{evaluation_id}"))

    assert (one.status_code, other.status_code) == (202, 202)
    assert other.json()["evaluation_id"] == evaluation_id
    assert told.json()["status"] == "completed"
    assert [line for line in events.text.splitlines() if '"words"' in line]
    assert "event: end" in events.text


async def test_many_at_once_are_each_executed_once(servers: ServerStack, http: httpx.AsyncClient) -> None:
    ids = await asyncio.gather(
        *(
            submitted(
                http,
                at(servers, f"requests-{1 + number % 2}"),
                SCRIPT,
                model_id=MODEL,
                config={"params": {"name": f"many-{number}"}},
            )
            for number in range(20)
        )
    )

    records = await servers.ended(ids)

    verdict = await judged(servers.database, servers.outside, records)
    assert verdict.faultless, verdict
    assert verdict.ends == {"completed": 20}


async def test_a_stop_by_http_is_confirmed(servers: ServerStack, http: httpx.AsyncClient) -> None:
    evaluation_id = await submitted(http, at(servers, "requests-1"), ENDLESS)
    await servers.begun(evaluation_id)

    answer = await http.post(at(servers, "requests-2", f"/{evaluation_id}/stop?wait=20"), json={"reason": "enough"})

    assert (answer.status_code, answer.json()["status"]) == (202, "stopped")
    assert await servers.buried()


async def test_a_stop_by_the_temporal_cli_stops(servers: ServerStack, http: httpx.AsyncClient) -> None:
    evaluation_id = await submitted(http, at(servers, "requests-1"), ENDLESS)
    await servers.begun(evaluation_id)

    where = ["--address", servers.temporal_address, "--namespace", servers.namespace]
    command = [temporal_binary(), "workflow", "signal", *where, "-w", evaluation_id, "--name", "emergency_stop"]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)

    assert (await servers.reached(evaluation_id, Status.STOPPED)).cause is not None
    assert await servers.buried()


async def test_each_process_has_a_database_user_of_its_own(servers: ServerStack) -> None:
    named = {
        name: make_url(part.environment["AIRLOCK_DATABASE_URL"]).username
        for name, part in servers.parts.items()
        if not name.startswith("orchestrator")
    }

    assert set(named.values()) == {user for process, user in USERS.items() if process != "intake"}  # it needs a queue
    assert {
        part.environment["AIRLOCK_DATABASE_URL"]
        for part in map(servers.parts.get, servers.several("orchestrator"))
        if part
    } == {"none"}


async def test_the_setup_can_be_repeated_while_everything_runs(servers: ServerStack, http: httpx.AsyncClient) -> None:
    done = await servers.setup("--grant")
    evaluation_id = await submitted(http, at(servers, "requests-1"), "print('here')\n")

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (await servers.reached(evaluation_id, Status.COMPLETED)).report is not None


async def test_no_process_has_logged_a_defect(servers: ServerStack) -> None:
    """Runs last: what all others have left."""
    broken = [
        (name, line)
        for name, part in servers.parts.items()
        for line in part.log.read_text("utf-8", "replace").splitlines()
        if "Traceback" in line or '"level": "error"' in line or "permission denied" in line
    ]

    assert broken == []
    assert json.loads(servers.parts["records-1"].tail().splitlines()[-1])
    assert ROOT.exists()
