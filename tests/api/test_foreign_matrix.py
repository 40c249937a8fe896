"""Two tenants, and everything that the interface has: what names the other's finds nothing and tells nothing.

What is tried is read from the OpenAPI document and the app's own routes, so that a new route is tried with the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.app import create_app
from api.services import Services
from api.settings import ApiSettings
from domain.evaluation import StopOrder
from domain.journal import EntryKind
from tests.api import stories
from tests.api.conftest import ROOT, SLOWLY_ON_POSTGRES, Client, listening, on, submitted

WORD = "zebra"
"""Is in everything that tenant a has: script, params, tags, output, model calls, result, reasons."""
SCRIPT = f"def evaluate_model(model):\n    return '{WORD}'\n"
CONFIG = {"params": {WORD: WORD}, "tags": {"note": WORD}}
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
STATES = ("queued", "awaiting_approval", "executing", "stopping", "completed", "deleted")
BODIES: tuple[Any, ...] = (None, {}, {"reason": "because"}, {"findings_digest": stories.DIGEST})


@pytest.fixture(params=SLOWLY_ON_POSTGRES)
def settings(request: pytest.FixtureRequest, settings: ApiSettings) -> Iterator[ApiSettings]:
    with on(request.param, settings) as chosen:
        yield chosen


class Operation(NamedTuple):
    """One verb at one path, with the parameters that it takes."""

    method: str
    path: str
    parameters: tuple[str, ...]


def operations(services: Services) -> list[Operation]:
    document = create_app(services).openapi()
    return [
        Operation(method.upper(), path, tuple(each["name"] for each in operation.get("parameters", ())))
        for path, verbs in cast("dict[str, dict[str, Any]]", document["paths"]).items()
        for method, operation in verbs.items()
    ]


def of_an_evaluation(services: Services) -> list[Operation]:
    return [each for each in operations(services) if "{" in each.path]


async def an_evaluation_in(state: str, client: httpx.AsyncClient, services: Services) -> str:
    evaluation_id = await submitted(client, SCRIPT, config=CONFIG)
    match state:
        case "awaiting_approval":
            await stories.ask_a_person(services, evaluation_id)
        case "executing":
            await stories.execute(services, evaluation_id)
            await stories.print_lines(services, evaluation_id, WORD)
        case "stopping":
            await services.evaluations.order_stop(evaluation_id, StopOrder(reason=WORD, by=WORD), stories.now())
        case "completed" | "deleted":
            await stories.complete(services, evaluation_id, WORD)
            call = stories.entry(evaluation_id, 900, EntryKind.MODEL_CALL, {"prompt": WORD})
            await services.journal.append(evaluation_id, [call])
            if state == "deleted":
                assert await services.evaluations.delete_payload("tenant-a", evaluation_id)
        case _:
            pass
    return evaluation_id


def told(answer: httpx.Response) -> str:
    """Everything that an answer says, its headers too."""
    return f"{answer.text} {json.dumps(dict(answer.headers))}"


def test_an_evaluation_is_all_that_a_path_names(services: Services) -> None:
    named = {part for each in operations(services) for part in each.path.split("/") if part.startswith("{")}

    assert named == {"{evaluation_id}"}


def test_every_route_that_names_an_evaluation_is_in_the_document_or_a_websocket(services: Services) -> None:
    documented = {(each.method, each.path) for each in operations(services)}

    for route in _routes(services):
        if isinstance(route, APIRoute):
            assert {(method, route.path) for method in route.methods or ()} <= documented, route.path


@pytest.mark.parametrize("state", STATES)
async def test_whatever_is_asked_of_a_foreign_evaluation_there_is_none(
    state: str, client_of: Client, services: Services
) -> None:
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    evaluation_id = await an_evaluation_in(state, ours, services)
    before = (await ours.get(f"{ROOT}/{evaluation_id}")).json()

    for operation in of_an_evaluation(services):
        for body in BODIES if operation.method == "POST" else (None,):
            path = operation.path.format(evaluation_id=evaluation_id)
            answer = await theirs.request(operation.method, path, json=body)

            assert answer.status_code in ({400, 404} if body is not None else {404}), (operation, body, answer.text)
            assert WORD not in told(answer), operation
            assert evaluation_id not in told(answer), operation
    after = (await ours.get(f"{ROOT}/{evaluation_id}")).json()
    assert _without_clock(after) == _without_clock(before)


async def test_a_body_that_fits_is_looked_at_after_the_owner(client_of: Client, services: Services) -> None:
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    evaluation_id = await an_evaluation_in("awaiting_approval", ours, services)
    bodies: dict[str, Any] = {
        "stop": {"reason": "x"},
        "approve": {"findings_digest": stories.DIGEST},
        "reject": {"reason": "x"},
        "retry": None,
    }
    posts = {each.path.rpartition("/")[2] for each in of_an_evaluation(services) if each.method == "POST"}

    codes = {
        name: (await theirs.post(f"{ROOT}/{evaluation_id}/{name}", json=body)).status_code
        for name, body in bodies.items()
    }

    assert posts == set(bodies), "a new order needs a body here that fits"
    assert set(codes.values()) == {404}


async def test_no_verb_finds_what_another_tenant_has(client_of: Client, services: Services) -> None:
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    evaluation_id = await an_evaluation_in("completed", ours, services)
    served = {(each.method, each.path) for each in operations(services)}

    for path in sorted({each.path for each in of_an_evaluation(services)}):
        for verb in VERBS:
            answer = await theirs.request(verb, path.format(evaluation_id=evaluation_id))

            assert answer.status_code == (404 if (verb, path) in served else 405), (verb, path)
            assert WORD not in told(answer)


async def test_what_names_nothing_tells_nothing_foreign(client_of: Client, services: Services) -> None:
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    evaluation_id = await an_evaluation_in("completed", ours, services)

    for operation in operations(services):
        if "{" not in operation.path and operation.method == "GET":
            answer = await theirs.get(operation.path)

            assert answer.status_code in {200, 503}
            assert WORD not in told(answer)
            assert evaluation_id not in told(answer)


async def test_every_cursor_is_good_for_its_own_journal_alone(client_of: Client, services: Services) -> None:
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    foreign = await an_evaluation_in("completed", ours, services)
    own = await submitted(theirs)
    await stories.complete(services, own, "own")
    cursors = await _cursors(ours, foreign)
    resumed = [each for each in of_an_evaluation(services) if {"after", "last-event-id"} & set(each.parameters)]

    for operation in resumed:
        for cursor in cursors:
            for name in {"after", "last-event-id"} & set(operation.parameters):
                path = operation.path.format(evaluation_id=own)
                more = {"params": {name: cursor}} if name == "after" else {"headers": {name: cursor}}
                answer = await theirs.request(operation.method, path, **more)  # type: ignore[arg-type]

                assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor"), (operation, name)
    assert cursors
    assert {each.path.rpartition("/")[2] for each in resumed} >= {"logs", "transcript", "events"}


async def test_a_foreign_cursor_of_a_list_leads_to_nothing_foreign(client_of: Client) -> None:
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    for _ in range(3):
        await submitted(ours, SCRIPT, config=CONFIG)
    cursor = (await ours.get(ROOT, params={"limit": 1})).json()["next_cursor"]

    answer = await theirs.get(ROOT, params={"cursor": cursor})

    assert answer.status_code in {200, 400}
    assert answer.json().get("evaluations", []) == []
    assert WORD not in told(answer)


async def test_an_idempotency_key_is_its_tenants_own(client_of: Client, services: Services) -> None:
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    keyed = [each for each in operations(services) if "idempotency-key" in each.parameters]
    body = {"model_id": "mock", "script": SCRIPT, "config": CONFIG}
    first = await ours.post(ROOT, json=body, headers={"Idempotency-Key": "k"})

    same = await theirs.post(ROOT, json=body, headers={"Idempotency-Key": "k"})
    other = await theirs.post(ROOT, json=body | {"script": "print(1)\n"}, headers={"Idempotency-Key": "k"})

    assert {each.path for each in keyed} == {ROOT, f"{ROOT}/{{evaluation_id}}/retry"}
    assert same.status_code == 202
    assert same.json()["evaluation_id"] != first.json()["evaluation_id"]
    assert other.status_code == 409  # by their own use of it
    assert first.json()["evaluation_id"] not in told(other)


async def test_every_websocket_is_closed_to_another_tenant(client_of: Client, services: Services) -> None:
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    evaluation_id = await an_evaluation_in("completed", ours, services)
    routes = [route for route in _routes(services) if isinstance(route, WebSocketRoute)]

    async with listening(services) as url:
        for route in routes:
            ws = f"ws{url.removeprefix('http')}{route.path.format(evaluation_id=evaluation_id)}"
            with pytest.raises(InvalidStatus) as refused:
                async with connect(ws, additional_headers={"Authorization": theirs.headers["authorization"]}):
                    pass
            assert refused.value.response.status_code == 404
            assert WORD.encode() not in refused.value.response.body
    assert routes


async def _cursors(client: httpx.AsyncClient, evaluation_id: str) -> list[str]:
    """Every cursor and id of an event that its owner is told."""
    found = [
        (await client.get(f"{ROOT}/{evaluation_id}/{page}")).json()["next_cursor"] for page in ("logs", "transcript")
    ]
    async with client.stream("GET", f"{ROOT}/{evaluation_id}/events") as stream:
        found += [line.removeprefix("id: ") async for line in stream.aiter_lines() if line.startswith("id: ")]
    return list(dict.fromkeys(found))


def _routes(services: Services) -> Iterator[object]:
    """The app's routes that name an evaluation, those of its routers too."""
    waiting: list[Any] = list(create_app(services).routes)
    while waiting:
        route = waiting.pop()
        waiting += getattr(getattr(route, "original_router", None), "routes", ())
        if "{" in getattr(route, "path", ""):
            yield route


def _without_clock(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in {"queue", "queue_position"}}
