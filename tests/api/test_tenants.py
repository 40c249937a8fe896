"""Every route that names an evaluation, asked by another tenant, by nobody, and by a key without the scope."""

from __future__ import annotations

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.app import create_app
from api.services import Services
from storage.keys import Scope
from tests.api import stories
from tests.api.conftest import ROOT, Client, listening, submitted
from tests.api.fake_workflows import FakeWorkflows
from tests.slices import slice_of

ROUTES = {
    ("GET", ""): Scope.READ,
    ("GET", "/status"): Scope.READ,
    ("GET", "/result"): Scope.READ,
    ("GET", "/logs"): Scope.READ,
    ("GET", "/transcript"): Scope.READ,
    ("GET", "/events"): Scope.READ,
    ("GET", "/export"): Scope.READ,
    ("POST", "/stop"): Scope.STOP,
    ("POST", "/approve"): Scope.APPROVE,
    ("POST", "/reject"): Scope.APPROVE,
    ("POST", "/retry"): Scope.SUBMIT,
    ("DELETE", ""): Scope.DELETE,
}
STATES = ["queued", "awaiting_approval", "completed"]
HEADERS = [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer airlock_nonsense", "x" * 5000]


async def an_evaluation_in(state: str, client: httpx.AsyncClient, services: Services) -> str:
    evaluation_id = await submitted(client, "print('tenant a wrote this')\n")
    if state == "awaiting_approval":
        await stories.ask_a_person(services, evaluation_id)
    if state == "completed":
        await stories.complete(services, evaluation_id, "tenant a's result")
    return evaluation_id


def test_the_matrix_knows_every_route_of_an_evaluation(services: Services):
    paths = create_app(services).openapi()["paths"]
    prefix = f"{ROOT}/{{evaluation_id}}"

    served = {
        (method.upper(), path.removeprefix(prefix))
        for path, operations in paths.items()
        if path.startswith(prefix)
        for method in operations
    }

    assert served == set(ROUTES)


@pytest.mark.parametrize("state", slice_of(STATES, every=len(STATES)))
@pytest.mark.parametrize(("method", "route"), ROUTES)
async def test_a_foreign_evaluation_looks_like_none(
    method: str, route: str, state: str, client_of: Client, services: Services, workflows: FakeWorkflows
):
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    evaluation_id = await an_evaluation_in(state, ours, services)
    unknown = "eval_" + "a" * 26

    foreign = await theirs.request(method, f"{ROOT}/{evaluation_id}{route}")
    missing = await theirs.request(method, f"{ROOT}/{unknown}{route}")

    varying = {"request_id"}
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert {k: v for k, v in foreign.json().items() if k not in varying} == {
        k: v for k, v in missing.json().items() if k not in varying
    }
    assert len(workflows.started) == 1
    assert workflows.stopped == workflows.approved == workflows.rejected == []


@pytest.mark.parametrize(("method", "route"), ROUTES)
@pytest.mark.parametrize("header", slice_of(HEADERS, every=len(HEADERS)))
async def test_without_a_key_nothing_is_told(header: str | None, method: str, route: str, client: httpx.AsyncClient):
    evaluation_id = await submitted(client)
    del client.headers["authorization"]

    headers = {} if header is None else {"Authorization": header}
    answer = await client.request(method, f"{ROOT}/{evaluation_id}{route}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "route"), ROUTES)
async def test_a_key_without_the_scope_is_refused(method: str, route: str, client_of: Client):
    scopes = frozenset(Scope) - {ROUTES[method, route]}
    ours, limited = await client_of(), await client_of(scopes=scopes)
    evaluation_id = await submitted(ours)

    answer = await limited.request(method, f"{ROOT}/{evaluation_id}{route}")

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_a_list_holds_nothing_foreign(client_of: Client):
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    await submitted(ours)

    assert (await theirs.get(ROOT)).json()["evaluations"] == []


async def test_a_foreign_websocket_is_answered_with_404(client_of: Client, services: Services):
    ours, theirs = await client_of("tenant-a"), await client_of("tenant-b")
    evaluation_id = await submitted(ours)

    async with listening(services) as url:
        ws = f"ws{url.removeprefix('http')}{ROOT}/{evaluation_id}/ws"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(ws, additional_headers={"Authorization": theirs.headers["authorization"]}):
                pass

    assert refused.value.response.status_code == 404
