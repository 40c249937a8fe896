"""Somebody connects by API Gateway, watches, and leaves: by the gateway's own events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.cursors import cursor_at
from api.serverless.instance import Instance
from api.serverless.settings import ServerlessSettings
from domain.evaluation import Cause, EvaluationEnd, StopOrder
from domain.lifecycle import Status
from storage.connections import MAX_SUBSCRIPTIONS, Connections, Subscription
from storage.database import Database
from storage.evaluations import Evaluations
from storage.keys import Scope
from tests.api.serverless.conftest import Time, an_event
from tests.api.serverless.test_instance import submitted

CONNECTION = "DGSykeXooAMCFPQ="
Key = Callable[..., str]


def connected(instance: Instance, key: str | None, connection_id: str = CONNECTION) -> dict[str, Any]:
    event = an_event("connect")
    event["requestContext"]["connectionId"] = connection_id
    if key is not None:
        event["headers"]["Authorization"] = key
    return instance.handle(event, Time())


def said(instance: Instance, body: object, connection_id: str = CONNECTION) -> dict[str, Any]:
    event = an_event("message")
    event["requestContext"]["connectionId"] = connection_id
    event["body"] = body if isinstance(body, str) else json.dumps(body)
    answer = instance.handle(event, Time())
    assert answer["statusCode"] == 200
    return json.loads(answer["body"])


def left(instance: Instance) -> None:
    assert instance.handle(an_event("disconnect"), Time()) == {"statusCode": 200}


def watched(settings: ServerlessSettings) -> list[Subscription]:
    async def read() -> list[Subscription]:
        async with Database(settings.database_url) as database:
            now = datetime.now(UTC)
            await Connections(database).claim("test", now, now + timedelta(seconds=1))
            return await Connections(database).watched("test", 100)

    return asyncio.run(read())


def subscribe(evaluation_id: str, **more: object) -> dict[str, object]:
    return {"action": "subscribe", "evaluation_id": evaluation_id, **more}


def test_who_subscribes_is_told_where_the_evaluation_is_and_is_remembered(
    instance: Instance, key_of: Key, settings: ServerlessSettings
) -> None:
    key = key_of()
    evaluation_id = submitted(instance, key)

    assert connected(instance, key) == {"statusCode": 200}
    told = said(instance, subscribe(evaluation_id))

    assert told == {"event": "subscribed", "data": {"evaluation_id": evaluation_id, "status": "queued"}}
    assert [(each.connection_id, each.evaluation_id, each.place) for each in watched(settings)] == [
        (CONNECTION, evaluation_id, 0)
    ]


def test_who_leaves_is_forgotten_with_everything(instance: Instance, key_of: Key, settings: ServerlessSettings) -> None:
    key = key_of()
    evaluation_id = submitted(instance, key)
    connected(instance, key)
    said(instance, subscribe(evaluation_id))

    left(instance)

    assert watched(settings) == []
    assert said(instance, subscribe(evaluation_id))["data"]["code"] == "unauthorized"


def test_who_unsubscribes_is_told_no_more(instance: Instance, key_of: Key, settings: ServerlessSettings) -> None:
    key = key_of()
    evaluation_id = submitted(instance, key)
    connected(instance, key)
    said(instance, subscribe(evaluation_id))

    told = said(instance, {"action": "unsubscribe", "evaluation_id": evaluation_id})

    assert told["event"] == "unsubscribed"
    assert watched(settings) == []


@pytest.mark.parametrize("key", [None, "", "Bearer", "Bearer nonsense", "Basic YTpi"])
def test_without_a_key_nobody_connects(instance: Instance, key: str | None) -> None:
    answer = connected(instance, key)

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("headers", "several", "code"),
    [
        (None, None, 401),
        ({"Authorization": None}, {}, 401),
        ({"aUTHORIZATION": "KEY"}, None, 200),
        ({"Authorization": "KEY"}, {"Authorization": ["Bearer other", "KEY"]}, 400),
        ({"Authorization": "KEY"}, {"Authorization": ["KEY"], "authorization": ["KEY"]}, 400),
        ({"Authorization": "KEY"}, {"Authorization": ["KEY"]}, 200),
    ],
)
def test_whose_a_connection_is_must_be_plain(
    instance: Instance, key_of: Key, headers: object, several: object, code: int
) -> None:
    words = json.dumps({"headers": headers, "multiValueHeaders": several}).replace("KEY", key_of())

    assert instance.handle(an_event("connect") | json.loads(words), Time())["statusCode"] == code


def test_a_key_that_may_not_read_may_not_connect(instance: Instance, key_of: Key) -> None:
    answer = connected(instance, key_of(scopes=frozenset({Scope.SUBMIT})))

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
@pytest.mark.parametrize("after", [None, "", "their own", "nonsense"])
def test_whatever_is_said_of_a_foreign_evaluation_there_is_none(
    instance: Instance, key_of: Key, settings: ServerlessSettings, action: str, after: str | None
) -> None:
    evaluation_id, theirs = submitted(instance, key_of()), "theirs="
    connected(instance, key_of("tenant-b"), theirs)
    told_to_its_owner = cursor_at(evaluation_id, 1)
    more = {} if after is None else {"after": told_to_its_owner if after == "their own" else after}
    message = {"action": action, **more}

    foreign = said(instance, message | {"evaluation_id": evaluation_id}, theirs)
    missing = said(instance, message | {"evaluation_id": "eval_" + "a" * 26}, theirs)

    assert foreign == missing
    assert foreign["data"]["code"] == "not_found"
    assert watched(settings) == []


def test_nobody_ends_what_another_tenant_watches(instance: Instance, key_of: Key, settings: ServerlessSettings) -> None:
    key = key_of()
    evaluation_id = submitted(instance, key)
    connected(instance, key)
    said(instance, subscribe(evaluation_id))
    connected(instance, key_of("tenant-b"), "theirs=")

    told = said(instance, {"action": "unsubscribe", "evaluation_id": evaluation_id}, "theirs=")

    assert told["data"]["code"] == "not_found"
    assert [(each.connection_id, each.evaluation_id) for each in watched(settings)] == [(CONNECTION, evaluation_id)]


def test_who_has_seen_the_end_and_asks_again_is_told_that_it_was_the_end(
    instance: Instance, key_of: Key, settings: ServerlessSettings
) -> None:
    key = key_of()
    evaluation_id = submitted(instance, key)
    connected(instance, key)

    async def stop() -> int:
        now = datetime.now(UTC)
        async with Database(settings.database_url) as database:
            evaluations = Evaluations(database)
            await evaluations.order_stop(evaluation_id, StopOrder(reason="x", by="y"), now)
            cause = Cause(stage=None, code="stopped", message="x")
            end = EvaluationEnd(evaluation_id=evaluation_id, status=Status.STOPPED, cause=cause)
            await evaluations.conclude(end, now)
            record = await evaluations.find(evaluation_id)
            assert record is not None
            return record.last_seq

    last = asyncio.run(stop())
    told = said(instance, subscribe(evaluation_id, after=cursor_at(evaluation_id, last)))

    assert told["data"]["status"] == "stopped"
    (watching,) = watched(settings)
    assert watching.place < last


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        '{"action": "subscribe"}',
        '{"action": "dance", "evaluation_id": "eval_aaaaaaaaaaaaaaaaaaaaaaaaaa"}',
        '{"action": "subscribe", "evaluation_id": "eval_aaaaaaaaaaaaaaaaaaaaaaaaaa", "admin": true}',
        '{"action": "subscribe", "action": "subscribe", "evaluation_id": "x"}',
        "[" * 10_000,
        "x" * 5000,
        "\ud800",
        '{"action": "subscribe", "evaluation_id": "' + "x" * 100 + '"}',
    ],
)
def test_nonsense_is_answered_with_a_problem(instance: Instance, key_of: Key, body: str) -> None:
    connected(instance, key_of())

    told = said(instance, body)

    assert told["event"] == "problem"
    assert told["data"]["status"] in {400, 413}


def test_a_binary_message_is_refused(instance: Instance, key_of: Key) -> None:
    connected(instance, key_of())
    event = an_event("message") | {"body": "AAEC", "isBase64Encoded": True}

    assert json.loads(instance.handle(event, Time())["body"])["data"]["code"] == "invalid_request"


def test_a_cursor_of_another_journal_is_refused(instance: Instance, key_of: Key) -> None:
    key = key_of()
    evaluation_id = submitted(instance, key)
    connected(instance, key)

    assert said(instance, subscribe(evaluation_id, after="MTo5OnF3ZXJ0eXVp"))["data"]["code"] == "bad_cursor"


def test_a_key_holds_so_many_connections_and_no_more(
    settings: ServerlessSettings, instance: Instance, key_of: Key
) -> None:
    key = key_of()
    codes = [connected(instance, key, f"c{n}=")["statusCode"] for n in range(settings.streams_per_key + 1)]

    assert codes == [200] * settings.streams_per_key + [429]


def test_a_connection_watches_so_many_and_no_more(instance: Instance, key_of: Key) -> None:
    key = key_of()
    connected(instance, key)
    ids = [submitted(instance, key, script=f"print({n})\n") for n in range(MAX_SUBSCRIPTIONS + 1)]

    events = [said(instance, subscribe(each))["event"] for each in ids]

    assert events == ["subscribed"] * MAX_SUBSCRIPTIONS + ["problem"]


def test_a_revoked_key_ends_what_it_opened(instance: Instance, key_of: Key, settings: ServerlessSettings) -> None:
    key = key_of()
    evaluation_id = submitted(instance, key)
    connected(instance, key)

    async def revoke() -> None:
        from storage.keys import ApiKeys

        async with Database(settings.database_url) as database:
            keys = ApiKeys(database)
            principal = await keys.authenticate(key.removeprefix("Bearer "))
            assert principal is not None
            await keys.revoke(principal.key_id)

    asyncio.run(revoke())

    assert said(instance, subscribe(evaluation_id))["data"]["code"] == "unauthorized"
