"""The queue (SQS) by which accepted evaluations reach whoever starts their workflows. A message names one, no more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, ValidationError

from domain.errors import QueueUnavailable
from domain.evaluation import EVALUATION_ID
from domain.values import Value
from workflows.aws.signed_http import AwsUnavailable, SignedHttp

if TYPE_CHECKING:
    import httpx

CALL_SECONDS = 5.0
LONGEST_POLL_SECONDS = 20
"""What SQS allows."""
MAX_MESSAGES = 10
"""Of one poll, likewise."""
MAX_REASON = 200
MAX_BURIED_BYTES = 200_000
"""Of a body. What fills a message, which has 256 KiB, would leave no room for its reason."""
_NAME = re.compile(r"[A-Za-z][A-Za-z.]{0,79}")


class Order(Value):
    """What a message says. One that says more was sent by nobody of ours, who might take it for heard."""

    model_config = ConfigDict(extra="forbid")

    evaluation_id: str = Field(pattern=f"^{EVALUATION_ID.pattern}$")
    trace: dict[str, str] = Field(default_factory=dict, max_length=2)
    """Where its trace began, in the words of W3C."""


class Unreadable(Exception):
    """A message that nobody has sent by our rules. Its text says what is wrong with it, in our own words."""


class Delivery(Value):
    """One delivery of a message. The same one may come again, here or elsewhere."""

    receipt: str
    body: str
    times: int
    """How often it has been delivered, this time included."""

    def order(self) -> Order:
        """What it says. Raises Unreadable."""
        try:
            return Order.model_validate_json(self.body)
        except ValidationError as error:
            kind = error.errors(include_url=False, include_input=False)[0]["type"]
            raise Unreadable("not_json" if kind == "json_invalid" else "not_an_order") from None


class IntakeQueue:
    """The queue, and the one behind it for what cannot be taken. Everything raises QueueUnavailable."""

    def __init__(self, http: SignedHttp, url: str, dead_letter_url: str | None = None) -> None:
        parts = urlsplit(url)
        self._http, self._url, self._dead_letter_url = http, url, dead_letter_url
        self._endpoint = f"{parts.scheme}://{parts.netloc}/"

    async def send(self, order: Order) -> None:
        """Put one in. Twice is once: whoever takes it asks whether it has been started."""
        await self._call("SendMessage", QueueUrl=self._url, MessageBody=order.model_dump_json())

    async def receive(self, *, visibility: int, wait: int = LONGEST_POLL_SECONDS) -> list[Delivery]:
        """Some messages, or none within `wait` seconds. Nobody else gets them for `visibility` seconds."""
        answer = await self._call(
            "ReceiveMessage",
            CALL_SECONDS + wait,
            QueueUrl=self._url,
            MaxNumberOfMessages=MAX_MESSAGES,
            WaitTimeSeconds=wait,
            VisibilityTimeout=visibility,
            AttributeNames=["ApproximateReceiveCount"],
        )
        try:
            return [_delivery(each) for each in cast("list[Mapping[str, Any]]", answer.get("Messages") or [])]
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # pydantic's errors are ValueErrors
            raise QueueUnavailable("what answers is no queue", "ReceiveMessage") from error

    async def extend(self, delivery: Delivery, visibility: int) -> None:
        """Keep a message from others for `visibility` seconds from now on; with 0 they get it at once."""
        await self._call(
            "ChangeMessageVisibility",
            QueueUrl=self._url,
            ReceiptHandle=delivery.receipt,
            VisibilityTimeout=visibility,
        )

    async def delete(self, delivery: Delivery) -> None:
        """Take it out for good."""
        await self._call("DeleteMessage", QueueUrl=self._url, ReceiptHandle=delivery.receipt)

    async def bury(self, delivery: Delivery, reason: str) -> None:
        """Put it into the dead-letter queue, with the reason, and out of this one. A huge body is cut there."""
        if self._dead_letter_url is None:
            raise QueueUnavailable("there is no dead-letter queue")
        whole = delivery.body.encode()
        told = {"reason": reason[:MAX_REASON], "deliveries": str(delivery.times), "bytes": str(len(whole))}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.items()}
        body = whole[:MAX_BURIED_BYTES].decode(errors="ignore") or "(empty)"  # SQS takes no empty one
        await self._call("SendMessage", QueueUrl=self._dead_letter_url, MessageBody=body, MessageAttributes=attributes)
        await self.delete(delivery)

    async def ping(self) -> None:
        """Return where the queue is there, and lets us in."""
        await self._call("GetQueueAttributes", QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"])

    async def _call(self, action: str, within: float = CALL_SECONDS, /, **arguments: Any) -> Mapping[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
        try:
            answer = await self._http.post(self._endpoint, json.dumps(arguments).encode(), headers, within=within)
        except AwsUnavailable as error:
            raise QueueUnavailable("the queue does not answer", str(error)) from error
        told = _told(answer)
        if answer.status_code != 200:
            refusal = f"{action}: HTTP {answer.status_code} {_refusal(told)}".rstrip()
            raise QueueUnavailable("the queue refuses or does not answer", refusal)
        if told is None:
            raise QueueUnavailable("what answers is no queue", action)
        return told


def _told(answer: httpx.Response) -> Mapping[str, Any] | None:
    """What an answer says. None where whoever answers there is no queue."""
    try:
        told: object = answer.json() if answer.content else {}
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", told) if isinstance(told, dict) else None


def _refusal(told: Mapping[str, Any] | None) -> str:
    """AWS's name for it, such as QueueDoesNotExist; nothing where it is no name. A wrong clock shows here."""
    name = str((told or {}).get("__type", "")).rpartition("#")[2]
    return name if _NAME.fullmatch(name) else ""


def _delivery(message: Mapping[str, Any]) -> Delivery:
    times = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
    body = message["Body"].encode(errors="replace").decode()  # half a surrogate pair must not hold up the others
    return Delivery(receipt=message["ReceiptHandle"], body=body, times=times)
