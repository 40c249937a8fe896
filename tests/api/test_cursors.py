"""Cursors that no page has given: forged, cut, of another journal, of a place that is not there yet."""

from __future__ import annotations

import base64

import httpx
import pytest

from api.services import Services
from tests.api.conftest import ROOT, listening, submitted
from tests.slices import slice_of

NOT_OURS = "eval_" + "a" * 26


def encoded(words: str) -> str:
    return base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")


def forged(evaluation_id: str) -> dict[str, str]:
    tail = evaluation_id[-8:]
    return {
        "words": "nonsense",
        "another version": encoded(f"2:1:{tail}"),
        "a negative place": encoded(f"1:-1:{tail}"),
        "a place beyond the journal": encoded(f"1:2:{tail}"),
        "a place beyond every integer": encoded(f"1:999999999999:{tail}"),
        "digits of another script": encoded(f"1:\N{ARABIC-INDIC DIGIT ONE}:{tail}"),
        "another journal": encoded(f"1:1:{NOT_OURS[-8:]}"),
        "an injection": encoded(f"1:1:{tail}' OR 1=1 --"),
        "a line more": encoded(f"1:1:{tail}\n"),
    }


@pytest.mark.parametrize("name", forged(NOT_OURS))
@pytest.mark.parametrize("route", slice_of(["logs", "transcript", "events"], every=3))
async def test_a_forged_cursor_is_refused(name: str, route: str, client: httpx.AsyncClient):
    evaluation_id = await submitted(client)

    answer = await client.get(f"{ROOT}/{evaluation_id}/{route}", params={"after": forged(evaluation_id)[name]})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_a_forged_last_event_id_is_refused(client: httpx.AsyncClient, services: Services):
    evaluation_id = await submitted(client)

    async with listening(services) as url, httpx.AsyncClient(headers=client.headers) as watcher:
        for cursor in forged(evaluation_id).values():
            headers = {"Last-Event-ID": cursor}
            answer = await watcher.get(f"{url}{ROOT}/{evaluation_id}/events", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize(
    "cursor",
    [
        encoded(f"1:1:{NOT_OURS}x"),
        encoded(f"1:{'9' * 18}:{NOT_OURS}"),
        encoded("1:1:eval_"),
        encoded(f"1:-1:{NOT_OURS}"),
        "=",
        "a",
        "\N{SNOWMAN}",
        "AAAA AAAA",
    ],
)
async def test_a_forged_cursor_of_a_list_is_refused(cursor: str, client: httpx.AsyncClient):
    answer = await client.get(ROOT, params={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")
