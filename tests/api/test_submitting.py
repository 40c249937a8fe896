from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from api.app import create_app
from api.services import Services
from api.submitting import Submitting
from domain.errors import ParserTimeout
from domain.policy import Policy
from storage.keys import Scope
from tests.api.conftest import EXAMPLE, JSON, ROOT, Client, submitted
from tests.api.fake_workflows import FakeWorkflows


async def test_the_first_example_of_the_design_is_accepted_byte_for_byte(
    client: httpx.AsyncClient, workflows: FakeWorkflows
):
    answer = await client.post(ROOT, content=EXAMPLE, headers=JSON)

    body = answer.json()
    assert answer.status_code == 202
    assert re.fullmatch(r"eval_[a-z2-7]{26}", body["evaluation_id"])
    assert body["status"] == "queued"
    assert type(body["queue_position"]) is int
    assert set(body["queue"]) == {"as_of", "approximate", "reason"}
    assert body["effective_config"]["timeout"] == 300
    assert body["effective_config"]["limits"]["memory_bytes"] == 512 << 20
    assert answer.headers["location"] == body["links"]["self"] == f"{ROOT}/{body['evaluation_id']}"
    assert [started.evaluation_id for started in workflows.started] == [body["evaluation_id"]]


async def test_those_that_wait_are_counted(client: httpx.AsyncClient):
    await submitted(client)

    answer = await client.post(ROOT, content=EXAMPLE, headers=JSON)

    assert answer.json()["queue_position"] == 2


async def test_the_same_key_and_request_are_one_evaluation(client: httpx.AsyncClient, workflows: FakeWorkflows):
    headers = JSON | {"Idempotency-Key": "once"}
    other_spelling = b'{"config":{"timeout":300},"script":"def evaluate_model(model): ...","model_id":"gpt-4"}'

    first = await client.post(ROOT, content=EXAMPLE, headers=headers)
    second = await client.post(ROOT, content=other_spelling, headers=headers)

    assert first.status_code == second.status_code == 202
    assert first.json()["evaluation_id"] == second.json()["evaluation_id"]
    assert len(workflows.started) == 1


async def test_the_same_key_with_another_request_is_a_conflict(client: httpx.AsyncClient):
    headers = JSON | {"Idempotency-Key": "once"}
    await client.post(ROOT, content=EXAMPLE, headers=headers)

    answer = await client.post(ROOT, content=EXAMPLE.replace(b"300", b"301"), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")


async def test_a_key_of_one_tenant_is_nothing_to_another(client_of: Client):
    headers = JSON | {"Idempotency-Key": "once"}
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")

    first = await ours.post(ROOT, content=EXAMPLE, headers=headers)
    second = await theirs.post(ROOT, content=EXAMPLE, headers=headers)

    assert first.json()["evaluation_id"] != second.json()["evaluation_id"]


async def test_twenty_at_once_with_one_key_are_one_evaluation(client: httpx.AsyncClient, workflows: FakeWorkflows):
    headers = JSON | {"Idempotency-Key": "once"}

    answers = await asyncio.gather(*(client.post(ROOT, content=EXAMPLE, headers=headers) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["evaluation_id"] for answer in answers}) == 1
    assert len(workflows.started) == 1


async def test_a_repeated_request_is_answered_as_the_first_was_whatever_is_away(
    client: httpx.AsyncClient, workflows: FakeWorkflows, services: Services
):
    headers = JSON | {"Idempotency-Key": "once"}
    first = await client.post(ROOT, content=EXAMPLE, headers=headers)
    workflows.away = True
    services.submitting._answered_at = float("-inf")  # pyright: ignore[reportPrivateUsage] - a second ago

    again = await client.post(ROOT, content=EXAMPLE, headers=headers)

    assert again.status_code == 202
    assert again.json()["evaluation_id"] == first.json()["evaluation_id"]


async def test_nothing_is_accepted_while_temporal_is_away(client: httpx.AsyncClient, workflows: FakeWorkflows):
    workflows.away = True

    answer = await client.post(ROOT, content=EXAMPLE, headers=JSON)

    listed = (await client.get(ROOT)).json()
    assert (answer.status_code, answer.json()["code"]) == (503, "workflows_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "secret" not in answer.text
    assert listed["evaluations"] == []


async def test_temporal_is_asked_once_for_all_who_wait_and_whoever_leaves_takes_the_answer_from_nobody(
    client: httpx.AsyncClient, workflows: FakeWorkflows
):
    workflows.answers_pings.clear()

    asking = [asyncio.create_task(client.post(ROOT, content=EXAMPLE, headers=JSON)) for _ in range(10)]
    await asyncio.sleep(0.5)
    asking.pop(0).cancel()
    workflows.answers_pings.set()
    answers = await asyncio.gather(*asking)

    assert {answer.status_code for answer in answers} == {202}
    assert workflows.pings == 1


async def test_what_was_accepted_before_temporal_went_away_is_left_to_the_sweep(
    client: httpx.AsyncClient, workflows: FakeWorkflows, services: Services
):
    workflows.lost_after_ping = True

    answer = await client.post(ROOT, content=EXAMPLE, headers=JSON)
    next_one = await client.post(ROOT, content=EXAMPLE, headers=JSON)

    forgotten = await services.evaluations.unstarted(timedelta(0), 10)
    assert (answer.status_code, next_one.status_code) == (202, 503)
    assert [each.evaluation_id for each in forgotten] == [answer.json()["evaluation_id"]]


async def test_a_started_evaluation_is_not_the_sweeps(client: httpx.AsyncClient, services: Services):
    await submitted(client)

    async with asyncio.timeout(20):
        while await services.evaluations.unstarted(timedelta(0), 10):  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(0.01)


class Late:
    """A checker whose children are busy."""

    async def check(self, source: bytes, environment: str, within: timedelta):
        raise ParserTimeout(f"{environment}: {len(source)} bytes take longer than {within}")


async def test_a_script_that_takes_too_long_to_check_is_left_to_the_stage(
    services: Services, client: httpx.AsyncClient
):
    late = Submitting(
        services.evaluations,
        services.workflows,
        Late(),
        environments=services.environments,
        models=services.models,
        policy=Policy(),
        check_within=timedelta(seconds=1),
    )
    transport = httpx.ASGITransport(create_app(replace(services, submitting=late)))
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=client.headers) as impatient:
        await submitted(impatient, "import nothing_like_this\n")


async def test_a_missing_module_is_named_with_the_environment_that_has_it(client: httpx.AsyncClient):
    answer = await client.post(ROOT, json={"model_id": "mock", "script": "import math\nimport numpy\n"})

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "missing_module")
    assert "'numpy'" in problem["detail"]
    assert "'science'" in problem["detail"]
    assert problem["errors"][0]["line"] == 2
    assert problem["errors"][0]["environments"] == ["science"]


async def test_the_environment_that_has_a_module_takes_the_script(client: httpx.AsyncClient):
    await submitted(client, "import numpy\n", config={"environment": "science"})


@pytest.mark.parametrize(("scope", "status"), [(Scope.SUBMIT, 202), (Scope.READ, 403)])
async def test_to_submit_takes_its_scope(client_of: Client, scope: Scope, status: int):
    client = await client_of(scopes=frozenset({scope}))

    answer = await client.post(ROOT, content=EXAMPLE, headers=JSON)

    assert answer.status_code == status


async def test_a_key_names_only_its_models(client_of: Client):
    client = await client_of(models=frozenset({"mock"}))

    answer = await client.post(ROOT, content=EXAMPLE, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (403, "model_not_allowed")
