from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from api.services import Services
from api.settings import ApiSettings
from domain.errors import StorageUnavailable
from tests.api import stories
from tests.api.conftest import ROOT, SLOWLY_ON_POSTGRES, on, submitted
from tests.api.fake_workflows import FakeWorkflows


@pytest.fixture(params=SLOWLY_ON_POSTGRES)
def settings(request: pytest.FixtureRequest, settings: ApiSettings) -> Iterator[ApiSettings]:
    with on(request.param, settings) as chosen:
        yield chosen


async def test_a_stop_is_journaled_and_signalled(
    client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client)

    answer = await client.post(f"{ROOT}/{evaluation_id}/stop", json={"reason": "too dear"})

    body = answer.json()
    order = await services.evaluations.stop_ordered(evaluation_id)
    assert answer.status_code == 202
    assert (body["status"], body["accepted"], body["confirmed"], body["signalled"]) == ("stopping", True, False, True)
    assert order is not None
    assert order.reason == "too dear"
    assert workflows.stopped[0][0] == evaluation_id


async def test_a_stop_holds_while_temporal_is_away(
    client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client)
    workflows.away = True

    answer = await client.post(f"{ROOT}/{evaluation_id}/stop")

    assert (answer.status_code, answer.json()["signalled"]) == (202, False)
    assert await services.evaluations.stop_ordered(evaluation_id) is not None


async def test_a_stop_that_waits_is_answered_when_everything_is_dead(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)

    waiting = asyncio.create_task(client.post(f"{ROOT}/{evaluation_id}/stop", params={"wait": 20}))
    while await services.evaluations.stop_ordered(evaluation_id) is None:  # noqa: ASYNC110 - it is in the database
        await asyncio.sleep(0.01)
    await stories.conclude_stop(services, evaluation_id)
    async with asyncio.timeout(15):
        body = (await waiting).json()

    assert (body["status"], body["confirmed"]) == ("stopped", True)


async def test_a_stop_that_waits_in_vain_says_so(client: httpx.AsyncClient):
    evaluation_id = await submitted(client)

    body = (await client.post(f"{ROOT}/{evaluation_id}/stop", params={"wait": 0.2})).json()

    assert (body["status"], body["confirmed"]) == ("stopping", False)


async def test_a_stop_that_was_kept_is_accepted_whatever_happens_to_the_database_then(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    async def away(*_: object, **__: object) -> None:
        raise StorageUnavailable("the database does not answer")

    evaluation_id = await submitted(client)
    monkeypatch.setattr(services.journal, "read", away)

    answer = await client.post(f"{ROOT}/{evaluation_id}/stop", params={"wait": 5})

    assert (answer.status_code, answer.json()["accepted"]) == (202, True)


async def test_a_flood_of_output_does_not_break_a_stop_that_waits(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("api.journal_feed.MAX_BEHIND", 5)
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)

    waiting = asyncio.create_task(client.post(f"{ROOT}/{evaluation_id}/stop", params={"wait": 20}))
    while not services.feed._watches:  # noqa: ASYNC110 # pyright: ignore[reportPrivateUsage] - its own business
        await asyncio.sleep(0.01)
    await stories.print_lines(services, evaluation_id, *(f"{n}" for n in range(30)))
    await asyncio.sleep(0.3)
    await stories.conclude_stop(services, evaluation_id)
    answer = await waiting

    assert (answer.status_code, answer.json()["confirmed"]) == (202, True)


async def test_a_second_stop_changes_nothing(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await client.post(f"{ROOT}/{evaluation_id}/stop", json={"reason": "first"})

    again = await client.post(f"{ROOT}/{evaluation_id}/stop", json={"reason": "second"})
    await stories.conclude_stop(services, evaluation_id)
    once_more = await client.post(f"{ROOT}/{evaluation_id}/stop", params={"wait": 5})

    assert (again.json()["accepted"], again.json()["stop"]["reason"]) == (False, "first")
    assert (once_more.status_code, once_more.json()["confirmed"]) == (202, True)


async def test_what_has_ended_cannot_be_stopped(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.complete(services, evaluation_id)

    answer = await client.post(f"{ROOT}/{evaluation_id}/stop")

    assert (answer.status_code, answer.json()["code"]) == (409, "already_ended")


@pytest.mark.parametrize("wait", ["-1", "26", "nan", "inf", "x"])
async def test_a_wait_is_bounded(wait: str, client: httpx.AsyncClient):
    evaluation_id = await submitted(client)

    answer = await client.post(f"{ROOT}/{evaluation_id}/stop", params={"wait": wait})

    assert answer.status_code == 400


@pytest.mark.parametrize("body", [{}, {"findings_digest": stories.DIGEST}])
async def test_an_approval_goes_to_the_workflow(
    body: dict[str, str], client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client)
    await stories.ask_a_person(services, evaluation_id)

    answer = await client.post(f"{ROOT}/{evaluation_id}/approve", json=body)

    ((approved, by, digest),) = workflows.approved
    assert (answer.status_code, approved, digest) == (202, evaluation_id, stories.DIGEST)
    assert by.startswith("key key_")


async def test_an_approval_of_other_findings_is_refused(
    client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client)
    await stories.ask_a_person(services, evaluation_id)

    answer = await client.post(f"{ROOT}/{evaluation_id}/approve", json={"findings_digest": "0" * 64})

    assert (answer.status_code, answer.json()["code"]) == (409, "findings_changed")
    assert workflows.approved == []


async def test_a_rejection_goes_to_the_workflow(
    client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client)
    await stories.ask_a_person(services, evaluation_id)

    answer = await client.post(f"{ROOT}/{evaluation_id}/reject", json={"reason": "no"})

    assert answer.status_code == 202
    assert workflows.rejected[0][2] == "no"


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_nobody_decides_where_nobody_is_asked(decision: str, client: httpx.AsyncClient, workflows: FakeWorkflows):
    evaluation_id = await submitted(client)

    answer = await client.post(f"{ROOT}/{evaluation_id}/{decision}")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_awaiting_approval")
    assert workflows.approved == workflows.rejected == []


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_a_decision_that_cannot_be_delivered_is_not_made(
    decision: str, client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client)
    await stories.ask_a_person(services, evaluation_id)
    workflows.away = True

    answer = await client.post(f"{ROOT}/{evaluation_id}/{decision}")

    assert answer.status_code == 503
    assert "retry-after" in answer.headers


async def test_a_retry_is_a_new_evaluation_that_names_the_old(
    client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client, config={"seed": 5})
    await stories.complete(services, evaluation_id)

    answer = await client.post(f"{ROOT}/{evaluation_id}/retry")

    body = answer.json()
    old, new = workflows.started
    assert (answer.status_code, body["retry_of"]) == (202, evaluation_id)
    assert new.evaluation_id == body["evaluation_id"] != evaluation_id
    assert (new.script, new.config) == (old.script, old.config)


async def test_what_is_under_way_is_neither_retried_nor_deleted(client: httpx.AsyncClient):
    evaluation_id = await submitted(client)

    retried = await client.post(f"{ROOT}/{evaluation_id}/retry")
    deleted = await client.delete(f"{ROOT}/{evaluation_id}")

    assert (retried.status_code, deleted.status_code) == (409, 409)


async def test_a_deletion_leaves_a_tombstone(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.complete(services, evaluation_id, "secret")
    await stories.print_lines(services, evaluation_id, "secret")

    deleted = [await client.delete(f"{ROOT}/{evaluation_id}") for _ in range(2)]

    tombstone = await client.get(f"{ROOT}/{evaluation_id}")
    assert [answer.status_code for answer in deleted] == [204, 204]
    assert tombstone.json()["deleted_at"] is not None
    assert "secret" not in tombstone.text
    for rest in ("result", "logs", "transcript"):
        answer = await client.get(f"{ROOT}/{evaluation_id}/{rest}")
        assert (answer.status_code, answer.json()["code"]) == (404, "payload_deleted")
    assert (await client.post(f"{ROOT}/{evaluation_id}/retry")).status_code == 404
