"""Our queue and AWS's own client mean the same queue."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from api.pushing import GatewayPoster
from domain.errors import QueueUnavailable
from storage.database import Database, migrate
from storage.evaluations import Evaluations
from tests.aws.conftest import CREDENTIALS, REGION, Boto
from tests.storage.rows import A, new
from tests.worker.test_intake import Starts
from worker.intake import Intake
from workflows.aws.intake_queue import IntakeQueue, Order
from workflows.aws.signed_http import AwsUnavailable, SignedHttp, signing

pytestmark = pytest.mark.aws


async def test_what_we_send_aws_own_client_receives(queue: IntakeQueue, urls: tuple[str, str], boto: Boto) -> None:
    order = Order(evaluation_id=A, trace={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})

    await queue.send(order)

    assert [Order.model_validate_json(each["Body"]) for each in boto.received(urls[0])] == [order]


async def test_what_aws_own_client_sends_we_receive_and_delete(
    queue: IntakeQueue, urls: tuple[str, str], boto: Boto
) -> None:
    boto("sqs", "send_message", QueueUrl=urls[0], MessageBody=Order(evaluation_id=A).model_dump_json())

    (delivery,) = await queue.receive(visibility=1, wait=1)
    await queue.delete(delivery)
    await asyncio.sleep(1.5)

    assert (delivery.order().evaluation_id, delivery.times) == (A, 1)
    assert boto.received(urls[0]) == []


async def test_what_is_not_deleted_comes_again_and_says_so(queue: IntakeQueue) -> None:
    await queue.send(Order(evaluation_id=A))
    (first,) = await queue.receive(visibility=0, wait=1)

    (again,) = await queue.receive(visibility=30, wait=5)

    assert (first.times, again.times) == (1, 2)


async def test_what_is_kept_nobody_else_gets_until_it_is_given_back(
    queue: IntakeQueue, urls: tuple[str, str], boto: Boto
) -> None:
    await queue.send(Order(evaluation_id=A))
    (delivery,) = await queue.receive(visibility=1, wait=1)
    await queue.extend(delivery, 60)
    await asyncio.sleep(1.5)
    kept = boto.received(urls[0])

    await queue.extend(delivery, 0)

    assert kept == []
    assert len(boto.received(urls[0])) == 1


async def test_what_nobody_can_take_lies_in_the_other_queue_with_its_reason(
    queue: IntakeQueue, urls: tuple[str, str], boto: Boto
) -> None:
    boto("sqs", "send_message", QueueUrl=urls[0], MessageBody='{"evaluation_id": "../../etc/passwd"}')
    (delivery,) = await queue.receive(visibility=1, wait=1)

    await queue.bury(delivery, "not_an_order")
    await asyncio.sleep(1.5)

    (buried,) = boto.received(urls[1])
    assert buried["Body"] == '{"evaluation_id": "../../etc/passwd"}'
    assert buried["MessageAttributes"]["reason"]["StringValue"] == "not_an_order"
    assert boto.received(urls[0]) == []


async def test_what_fills_a_message_is_put_aside_with_its_reason_all_the_same(
    queue: IntakeQueue, urls: tuple[str, str], boto: Boto
) -> None:
    boto("sqs", "send_message", QueueUrl=urls[0], MessageBody="é" * 131_000)  # 262,000 of 262,144 bytes
    (delivery,) = await queue.receive(visibility=1, wait=1)

    await queue.bury(delivery, "not_json")

    (buried,) = boto.received(urls[1])
    assert buried["Body"] == "é" * 100_000
    told = {name: each["StringValue"] for name, each in buried["MessageAttributes"].items()}
    assert told == {"reason": "not_json", "deliveries": "1", "bytes": "262000"}


async def test_the_intake_takes_what_a_function_sent_and_buries_what_nobody_did(
    queue: IntakeQueue, urls: tuple[str, str], boto: Boto, tmp_path: Path
) -> None:
    url, starts = f"sqlite:///{tmp_path / 'airlock.db'}", Starts()
    await asyncio.to_thread(migrate, url)
    async with Database(url) as database:
        evaluations = Evaluations(database)
        await evaluations.submit(new(), None)
        for _ in range(2):
            await queue.send(Order(evaluation_id=A))
        boto("sqs", "send_message", QueueUrl=urls[0], MessageBody="poison")

        taking = asyncio.create_task(Intake(queue, evaluations, starts).run())
        async with asyncio.timeout(60):
            while await waiting(boto, urls[0]) or not starts.started:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        taking.cancel()
        with suppress(asyncio.CancelledError):
            await taking

    assert set(starts.started) == {A}
    assert [each["MessageAttributes"]["reason"]["StringValue"] for each in boto.received(urls[1])] == ["not_json"]


POISON = (
    ("x" * 200_000, "not_json"),
    ("[" * 100_000, "not_json"),
    ("null", "not_an_order"),
    ('"eval"', "not_an_order"),
    (json.dumps({"evaluation_id": A + " "}), "not_an_order"),
    (json.dumps({"evaluation_id": A + "\n"}), "not_an_order"),
    (json.dumps({"evaluation_id": [A]}), "not_an_order"),
    (json.dumps({"evaluation_id": A, "trace": {"traceparent": {"a": 1}}}), "not_an_order"),
    (json.dumps({"evaluation_id": A, "tenant": "tenant-b"}), "not_an_order"),
    (json.dumps({"evaluation_id": A, "script": "print(1)"}), "not_an_order"),
    (json.dumps({"evaluation_id": "eval_" + "z" * 26}), "record_missing"),
)


async def test_every_kind_of_poison_is_put_aside_with_its_reason_and_a_swollen_trace_is_none(
    queue: IntakeQueue, urls: tuple[str, str], boto: Boto, tmp_path: Path
) -> None:
    url, starts = f"sqlite:///{tmp_path / 'airlock.db'}", Starts()
    await asyncio.to_thread(migrate, url)
    swollen = {"evaluation_id": A, "trace": {"traceparent": "\x1b[31m" * 9000}}
    async with Database(url) as database:
        evaluations = Evaluations(database)
        await evaluations.submit(new(), None)
        for body in (*(body for body, _ in POISON), json.dumps(swollen)):
            boto("sqs", "send_message", QueueUrl=urls[0], MessageBody=body)

        taking = asyncio.create_task(Intake(queue, evaluations, starts).run())
        async with asyncio.timeout(60):
            while await waiting(boto, urls[0]):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        taking.cancel()
        with suppress(asyncio.CancelledError):
            await taking

    buried = [(each["Body"], each["MessageAttributes"]["reason"]["StringValue"]) for each in everything(boto, urls[1])]
    assert sorted(buried) == sorted(POISON)
    assert starts.started == [A]


def everything(boto: Boto, url: str) -> Iterator[dict[str, Any]]:
    while some := boto.received(url, VisibilityTimeout=60):
        yield from some


async def waiting(boto: Boto, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = await asyncio.to_thread(boto, "sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=names)
    return sum(int(number) for number in told["Attributes"].values())


async def test_a_queue_that_is_not_there_is_unavailable(http: SignedHttp, endpoint: str) -> None:
    nowhere = IntakeQueue(http, f"{endpoint}/123456789012/nowhere")

    with pytest.raises(QueueUnavailable) as refused:
        await nowhere.ping()

    assert refused.value.evidence == "GetQueueAttributes: HTTP 400 QueueDoesNotExist"


async def test_a_server_that_is_not_there_is_unavailable(http: SignedHttp) -> None:
    with pytest.raises(QueueUnavailable):
        await IntakeQueue(http, "http://127.0.0.1:9/1/airlock").send(Order(evaluation_id=A))


async def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch, endpoint: str, tmp_path: Path) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    async with signing(REGION, "sqs") as unsigned:
        with pytest.raises(AwsUnavailable, match="no credentials"):
            await unsigned.post(endpoint, b"{}", {}, within=5)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/", "sqs"),
        ("https://x.execute-api.eu-west-1.amazonaws.com/live/%40connections/DGSykeXooAMCFPQ%3D", "execute-api"),
    ],
)
async def test_a_request_is_signed_as_aws_own_client_signs_it(url: str, service: str, boto: Boto) -> None:
    body = b'{"QueueUrl": "x"}'
    async with signing(REGION, service) as http:
        sent = {"Content-Type": "application/x-amz-json-1.0"}
        headers = dict(await http._signed("POST", url, body, sent))  # pyright: ignore[reportPrivateUsage]
    ours = re.fullmatch(r".*SignedHeaders=([^,]+), Signature=([0-9a-f]{64})", headers["Authorization"])
    assert ours is not None
    signed = {name: value for name, value in headers.items() if name.lower() in ours[1].split(";")}

    theirs = boto(
        "sign",
        "",
        url=url,
        headers=signed,
        body=body.decode(),
        scope=service,
        region=REGION,
        access=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        secret=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )

    assert ours[2] == theirs
    assert "host" in ours[1].split(";")


async def test_a_push_arrives_where_there_is_a_connection(endpoint: str) -> None:
    async with signing(REGION, "execute-api") as http:
        told = await GatewayPoster(http, endpoint).post("DGSykeXooAMCFPQ=", {"event": "status"})

    assert told.arrived
