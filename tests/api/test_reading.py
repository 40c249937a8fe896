from __future__ import annotations

import asyncio

import httpx
import pytest
from pydantic import JsonValue

from api import health
from api.services import Services
from domain.evaluation import StatusReport
from domain.findings import Verdict
from domain.journal import EntryKind
from domain.lifecycle import Stage, Status
from tests.api import stories
from tests.api.conftest import ROOT, Client, submitted
from tests.api.fake_workflows import FakeWorkflows


async def test_a_list_is_paged_newest_first_without_loss(client: httpx.AsyncClient):
    ids = [await submitted(client) for _ in range(5)]

    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await client.get(ROOT, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [each["evaluation_id"] for each in page["evaluations"]]
        cursor = page["next_cursor"]

    assert seen == ids[::-1]


async def test_a_list_is_filtered_by_status(client: httpx.AsyncClient, services: Services):
    ended, _ = [await submitted(client) for _ in range(2)]
    await stories.complete(services, ended)

    page = (await client.get(ROOT, params={"status": "completed"})).json()

    assert [each["evaluation_id"] for each in page["evaluations"]] == [ended]


async def test_the_record_knows_everything_but_the_result(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client, config={"tags": {"suite": "nightly"}, "seed": 7})
    await stories.complete(services, evaluation_id, {"score": 1})

    body = (await client.get(f"{ROOT}/{evaluation_id}")).json()

    assert (body["status"], body["outcome"], body["tags"]) == ("completed", "completed", {"suite": "nightly"})
    assert body["isolation"]["level"] == 2
    assert body["effective_config"]["seed"] == 7
    assert "result" not in body
    assert "tenant" not in body


async def test_the_workflow_is_believed_where_it_is_further_on(client: httpx.AsyncClient, workflows: FakeWorkflows):
    evaluation_id = await submitted(client)
    workflows.reports[evaluation_id] = StatusReport(
        evaluation_id=evaluation_id,
        status=Status.PENDING_VALIDATION,
        stage=Stage.STATIC_ANALYSIS,
        verdict=Verdict.APPROVED,
    )

    body = (await client.get(f"{ROOT}/{evaluation_id}/status")).json()

    assert (body["status"], body["stage"], body["source"]) == ("pending_validation", "static_analysis", "workflow")


async def test_an_end_is_told_when_its_result_can_be_had_and_not_before(
    client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client)
    workflows.reports[evaluation_id] = StatusReport(evaluation_id=evaluation_id, status=Status.COMPLETED)

    unrecorded = (await client.get(f"{ROOT}/{evaluation_id}/status")).json()
    await stories.complete(services, evaluation_id, {"score": 1})
    recorded = (await client.get(f"{ROOT}/{evaluation_id}/status")).json()

    assert (unrecorded["status"], unrecorded["source"]) == ("queued", "record")
    assert (recorded["status"], recorded["outcome"]) == ("completed", "completed")


async def test_the_record_is_believed_where_the_workflow_trails(client: httpx.AsyncClient, workflows: FakeWorkflows):
    evaluation_id = await submitted(client)
    workflows.reports[evaluation_id] = StatusReport(evaluation_id=evaluation_id, status=Status.QUEUED)
    await client.post(f"{ROOT}/{evaluation_id}/stop")

    body = (await client.get(f"{ROOT}/{evaluation_id}/status")).json()

    assert (body["status"], body["source"]) == ("stopping", "record")


async def test_without_temporal_or_workers_the_record_answers(client: httpx.AsyncClient, workflows: FakeWorkflows):
    evaluation_id = await submitted(client)
    workflows.away = True

    answers = [await client.get(f"{ROOT}/{evaluation_id}/status") for _ in range(3)]

    assert [answer.json()["status"] for answer in answers] == ["queued"] * 3
    assert workflows.queries == 1  # after one that nobody answered the others do not wait


async def test_an_ended_evaluation_asks_no_workflow(
    client: httpx.AsyncClient, services: Services, workflows: FakeWorkflows
):
    evaluation_id = await submitted(client)
    await stories.complete(services, evaluation_id)

    await client.get(f"{ROOT}/{evaluation_id}/status")

    assert workflows.queries == 0


@pytest.mark.parametrize("result", [None, {"score": 0.5}, "\ud800", "x" * 20_000, [1, [2, {"a": None}]]])
async def test_a_result_comes_back_as_it_was_claimed(result: JsonValue, client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.complete(services, evaluation_id, result)

    answer = await client.get(f"{ROOT}/{evaluation_id}/result")

    body = answer.json()
    assert answer.status_code == 200
    assert (body["result"], body["has_result"]) == (result, True)
    assert body["model_use"]["provider"] == "mock"
    assert body["environment_digest"] == "e" * 64


async def test_there_is_no_result_before_the_end(client: httpx.AsyncClient):
    evaluation_id = await submitted(client)

    answer = await client.get(f"{ROOT}/{evaluation_id}/result")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_ended")


async def test_logs_are_read_on_from_a_cursor_without_loss_or_double(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    await stories.print_lines(services, evaluation_id, *(f"{n}\n" for n in range(7)))
    place = f"{ROOT}/{evaluation_id}/logs"

    first = (await client.get(place, params={"limit": 5})).json()
    rest = (await client.get(place, params={"after": first["next_cursor"]})).json()
    nothing = (await client.get(place, params={"after": rest["next_cursor"]})).json()
    await stories.print_lines(services, evaluation_id, "late\n", first=8)
    late = (await client.get(place, params={"after": nothing["next_cursor"]})).json()

    told = [line["text"] for page in (first, rest, nothing, late) for line in page["entries"]]
    assert told == [*(f"{n}\n" for n in range(7)), "late\n"]
    assert not late["complete"]


async def test_a_page_of_output_is_bounded_in_bytes(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    await stories.print_lines(services, evaluation_id, *("x" * 60_000 for _ in range(120)))

    answer = await client.get(f"{ROOT}/{evaluation_id}/logs", params={"limit": 500})

    assert len(answer.content) < 4 << 20


async def test_hostile_output_is_data_and_never_a_page(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    await stories.print_lines(services, evaluation_id, "<script>alert(1)</script>\x1b]0;x\x07\n")

    answer = await client.get(f"{ROOT}/{evaluation_id}/logs")

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    assert answer.json()["entries"][0]["text"].startswith("<script>")


async def test_the_transcript_holds_the_calls(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)
    await stories.execute(services, evaluation_id)
    call: dict[str, JsonValue] = {"request": {"call": 0}, "answer": {"text": "4"}, "milliseconds": 3}
    await services.journal.append(evaluation_id, [stories.entry(evaluation_id, 1, EntryKind.MODEL_CALL, call)])

    body = (await client.get(f"{ROOT}/{evaluation_id}/transcript")).json()

    assert [each["call"] for each in body["calls"]] == [call]


async def test_a_cursor_of_another_evaluation_is_refused(client: httpx.AsyncClient):
    ours, other = [await submitted(client) for _ in range(2)]
    cursor = (await client.get(f"{ROOT}/{other}/logs")).json()["next_cursor"]

    answer = await client.get(f"{ROOT}/{ours}/logs", params={"after": cursor})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_what_there_is_can_be_listed(client_of: Client):
    client = await client_of(models=frozenset({"mock"}))

    environments = (await client.get("/api/v1/environments")).json()["environments"]
    models = (await client.get("/api/v1/models")).json()["models"]
    limits = (await client.get("/api/v1/limits")).json()

    assert [each["name"] for each in environments] == ["default", "science"]
    assert "python" not in environments[0]
    assert models == [{"model_id": "mock", "provider": "mock"}]
    assert limits["limits"]["timeout"]["maximum"] == 3600


async def test_health_needs_no_key_and_tells_of_temporal(client: httpx.AsyncClient, workflows: FakeWorkflows):
    del client.headers["authorization"]

    well = await client.get("/readyz")
    workflows.away = True
    ill = await client.get("/readyz")

    assert (well.status_code, ill.status_code) == (200, 503)
    assert (await client.get("/livez")).status_code == 200


async def test_a_database_that_hangs_does_not_hold_up_who_asks_for_health(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    async def hangs() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(services.database, "ping", hangs)
    monkeypatch.setattr(health, "READY_SECONDS", 0.05)

    answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
