"""Whatever answers in the queue's place, the intake is told that the queue is away, and why, and nothing else."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from domain.errors import QueueUnavailable
from workflows.aws.intake_queue import MAX_MESSAGES, Delivery, IntakeQueue
from workflows.aws.signed_http import SignedHttp


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")


def received(status: int, body: bytes) -> list[Delivery]:
    async def receive() -> list[Delivery]:
        transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
        async with httpx.AsyncClient(transport=transport) as http:
            queue = IntakeQueue(SignedHttp(http, "eu-west-1", "sqs"), "https://sqs.example/1/airlock")
            return await queue.receive(visibility=30)

    return asyncio.run(receive())


@pytest.mark.parametrize("body", [b"", b"{}", b'{"Messages": null}', b'{"Messages": []}'])
def test_a_poll_that_finds_nothing_is_an_answer(body: bytes) -> None:
    assert received(200, body) == []


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"\xff",
        b"[]",
        b"7",
        b"[" * 100_000,
        b'{"Messages": 7}',
        b'{"Messages": [7]}',
        b'{"Messages": [{}]}',
        b'{"Messages": [{"ReceiptHandle": "r", "Body": 7}]}',
        b'{"Messages": [{"ReceiptHandle": "r", "Body": "", "Attributes": 7}]}',
        b'{"Messages": [{"ReceiptHandle": "r", "Body": "", "Attributes": {"ApproximateReceiveCount": "many"}}]}',
    ],
)
def test_what_is_no_queue_is_no_queue(body: bytes) -> None:
    with pytest.raises(QueueUnavailable, match="what answers is no queue"):
        received(200, body)


@pytest.mark.parametrize(
    ("status", "body", "evidence"),
    [
        (403, b'{"__type": "com.amazon.coral.service#InvalidSignatureException"}', " InvalidSignatureException"),
        (403, b'{"__type": "RequestExpired", "message": "a clock"}', " RequestExpired"),
        (400, b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist"}', " QueueDoesNotExist"),
        (400, b'{"__type": "a#\\u001b[31m"}', ""),
        (400, b'{"__type": 7}', ""),
        (500, b"<html>", ""),
        (503, b"", ""),
        (301, b"", ""),
    ],
)
def test_a_refusal_is_told_by_its_name_and_no_other_word(status: int, body: bytes, evidence: str) -> None:
    with pytest.raises(QueueUnavailable) as refused:
        received(status, body)

    assert refused.value.evidence == f"ReceiveMessage: HTTP {status}{evidence}"


def test_a_whole_poll_of_messages_is_read() -> None:
    one = b'{"MessageId": "m", "ReceiptHandle": "r", "Body": "b", "Attributes": {"ApproximateReceiveCount": "3"}}'

    found = received(200, b'{"Messages": [' + b",".join([one] * MAX_MESSAGES) + b"]}")

    assert found == [Delivery(receipt="r", body="b", times=3)] * MAX_MESSAGES
