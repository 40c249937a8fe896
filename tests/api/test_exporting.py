"""An evaluation as one file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import httpx
import pytest

from api.rate_limits import StreamSlots
from api.schemas import ExportAnswer
from api.services import Services
from tests.api import stories
from tests.api.conftest import ROOT, listening, submitted

SCRIPT = "def evaluate_model(model):\n    return model.generate('2 + 2?')\n"


async def exported(client: httpx.AsyncClient, evaluation_id: str) -> ExportAnswer:
    answer = await client.get(f"{ROOT}/{evaluation_id}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="{evaluation_id}.json"'
    return ExportAnswer.model_validate_json(answer.content)


async def test_a_file_holds_all_that_is_kept(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client, SCRIPT)
    await stories.print_lines(services, evaluation_id, *(f"{n}" for n in range(120)))
    await stories.complete(services, evaluation_id, {"score": 1})

    file = await exported(client, evaluation_id)

    assert file.script == SCRIPT
    assert hashlib.sha256(SCRIPT.encode()).hexdigest() == file.evaluation.script.sha256
    assert file.result is not None
    assert file.result.result == {"score": 1}
    lines = [entry.payload["text"] for entry in file.journal if entry.kind.value == "log"]
    assert lines == [f"{n}" for n in range(120)]
    assert file.journal[-1].payload["status"] == "completed"


async def test_one_that_is_under_way_is_exported_as_far_as_it_is(client: httpx.AsyncClient):
    evaluation_id = await submitted(client, SCRIPT)

    file = await exported(client, evaluation_id)

    assert (file.evaluation.status.value, file.result, len(file.journal)) == ("queued", None, 1)


async def test_of_a_deleted_one_the_tombstone_is_left(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client, SCRIPT)
    await stories.print_lines(services, evaluation_id, "the script's words")
    await stories.complete(services, evaluation_id, "the script's result")
    await client.delete(f"{ROOT}/{evaluation_id}")

    file = await exported(client, evaluation_id)

    assert (file.script, file.result) == (None, None)
    assert "the script's" not in file.model_dump_json()


async def test_an_export_holds_one_of_the_streams_of_its_key(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client, SCRIPT)

    few = replace(services, stream_slots=StreamSlots(0))

    async with listening(few) as url, httpx.AsyncClient(headers=client.headers) as other:
        answer = await other.get(f"{url}{ROOT}/{evaluation_id}/export")

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")


async def test_a_file_that_breaks_off_is_not_taken_for_a_whole_one(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    evaluation_id = await submitted(client, SCRIPT)

    async def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(services.journal, "read", broken)
    async with listening(services) as url, httpx.AsyncClient(headers=client.headers) as other:
        with pytest.raises(httpx.RemoteProtocolError):
            await other.get(f"{url}{ROOT}/{evaluation_id}/export")


async def test_half_a_surrogate_pair_of_a_script_does_not_break_the_file(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client, SCRIPT)
    await stories.complete(services, evaluation_id, "\ud800")

    answer = await client.get(f"{ROOT}/{evaluation_id}/export")

    assert json.loads(answer.content)["result"]["result"] == "\ud800"
