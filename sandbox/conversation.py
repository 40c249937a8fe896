"""The worker's end of a run's stream, whatever carries it: bytes in become events and in the end a receipt.

Nothing here waits for a model: a call is a task of its own, and its answer goes out when it comes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from domain.errors import SandboxUnavailable
from domain.model_calls import ModelAnswer, ModelAnswerer, ModelErrorKind, ModelRequest
from domain.runs import Attempt, Isolation, RunRecord
from sandbox.box.order import Order
from sandbox.port import Asked, Began, Printed, RunEvent, RunWatcher, Tried
from sandbox.receipt import Receipt, ScriptWords
from sandbox.stream import ACKNOWLEDGE_EVERY, FROM_RUN, TO_RUN, Message, Receiver, Sender

EVENTS_PER_FRAME = 1 << 17
"""More than one frame can hold: `frame * this + place` is unique in a run, grows, and is the same when read again."""
NO_CALL = (
    "not a call that a model takes: it takes a text, or up to 1000 messages, each with a role (system, user or "
    "assistant) and a text as its content"
)
_JSON_OBJECT = TypeAdapter(dict[str, Any])


class Conversation:
    """One run's messages in their order. `send` takes bytes for the runner and does not wait.

    `received` raises what the watcher raises, and SandboxUnavailable where the runner refuses to start the script.
    """

    def __init__(
        self,
        order: Order,
        isolation: Callable[[dict[str, bool], dict[str, str]], Isolation],
        *,
        send: Callable[[bytes], None],
        answer: ModelAnswerer,
        watch: RunWatcher,
        attempt: int = 0,
    ) -> None:
        self._order = order
        self._isolation = isolation
        self._send = send
        self._answer = answer
        self._watch = watch
        self._sender = Sender(TO_RUN, b"", attempt)
        self._receiver = Receiver(FROM_RUN, bytes.fromhex(order.key))
        self._acknowledged = 0
        self._attempts: list[Attempt] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._stays = False
        """Whether the runner is to stay when it has told everything."""
        self.began: Began | None = None
        self.words: ScriptWords | None = None
        self.result: str | None = None
        """What was returned, as the JSON text that the script's process claims."""
        self.receipt: Receipt | None = None

    def begin(self) -> None:
        """Order the run."""
        self._send(self._sender.frames("order", json.dumps(self._order.to_json())))
        self._sender.key = bytes.fromhex(self._order.key)

    def stop(self, *, stays: bool = False) -> None:
        """Ask the runner to end the script. `stays`: its receipt is not confirmed, so that it lingers to be ended."""
        self._stays = stays
        self._send(self._sender.frames("stop", "null"))

    def reconnected(self) -> None:
        """The way was cut: say again what is not confirmed, and ask for what may have been missed."""
        self._send(b"\n" + self._sender.again(0) + self._sender.control("resume", self._receiver.resumed()))

    async def received(self, data: bytes) -> None:
        """Take in what the runner has sent."""
        for message in self._receiver.feed(data):
            await self._take(message)
        self._confirm()

    async def close(self) -> None:
        """Drop the calls that nobody waits for any more."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)

    @property
    def record(self) -> RunRecord:
        """What was tried. Complete only with a receipt that says so, and nothing lost on the way."""
        sums = self.receipt.record if self.receipt else {}
        return RunRecord(
            attempts=tuple(self._attempts),
            allowed_reads=sums.get("allowed_reads", 0),
            dropped=sums.get("dropped", 0),
            complete=bool(sums.get("complete", 0)) and self._receiver.broken == 0,
        )

    @property
    def _may_leave(self) -> bool:
        return self.receipt is not None and not self._stays

    def _confirm(self) -> None:
        if self._receiver.missing:
            self._send(self._sender.control("resume", self._receiver.resumed()))
        elif self._may_leave or self._receiver.received >= self._acknowledged + ACKNOWLEDGE_EVERY:
            self._acknowledged = self._receiver.received
            self._send(self._sender.control("ack", self._acknowledged))

    async def _take(self, message: Message) -> None:
        match message.kind:
            case "ack" | "resume":
                self._control(message)
            case "began":
                await self._begin(message)
            case "refused":
                self._refuse(_object(message.text))
            case "output":
                await self._print(message)
            case "tried":
                attempt = Attempt.model_validate_json(message.text)
                self._attempts.append(attempt)
                await self._tell(Tried(frame=_event(message), attempt=attempt))
            case "ask":
                self._ask(message)
            case "result":
                self.result = message.text
            case "failed" | "unfit":
                self.words = ScriptWords.claimed(message.kind, message.text)
            case "receipt":
                self.receipt = Receipt.model_validate_json(message.text)
            case _:
                pass  # a newer runner says more than we understand

    def _control(self, message: Message) -> None:
        number = int(message.text) if message.text.isdigit() else 0
        if message.kind == "ack":
            self._sender.acknowledge(number)
        else:
            self._send(self._sender.again(number))

    async def _begin(self, message: Message) -> None:
        said = _object(message.text)
        isolation = self._isolation(said["checks"], said["details"])
        digest = said["environment_digest"]
        self.began = Began(frame=_event(message), isolation=isolation, environment_digest=digest)
        await self._tell(self.began)
        self._send(self._sender.frames("start", "null"))

    def _refuse(self, said: dict[str, Any]) -> None:
        evidence = " ".join(f"{name}={value}" for name, value in said.get("details", {}).items())
        raise SandboxUnavailable(str(said.get("message", "the runner refused the run")), evidence)

    async def _print(self, message: Message) -> None:
        stream, *lines = json.loads(message.text)
        for place, line in enumerate(lines):
            await self._tell(Printed(frame=_event(message) + place, stream=stream, text=line))

    async def _tell(self, event: RunEvent) -> None:
        await self._watch(event)

    def _ask(self, message: Message) -> None:
        task = asyncio.create_task(self._answered(message))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answered(self, message: Message) -> None:
        began = time.monotonic()
        request = _request(message.text)
        if request is None:
            call = _call_number(message.text)
            given = ModelAnswer(call=call, error=ModelErrorKind.INVALID, message=NO_CALL)
        else:
            given = await self._answer(request)
            milliseconds = int((time.monotonic() - began) * 1000)
            asked = Asked(frame=_event(message), request=request, answer=given, milliseconds=milliseconds)
            await self._tell(asked)
        self._send(self._sender.frames("answer", json.dumps(given.model_dump(mode="json"))))


def _event(message: Message) -> int:
    return message.frame * EVENTS_PER_FRAME


def _object(text: str) -> dict[str, Any]:
    return _JSON_OBJECT.validate_json(text)


def _request(text: str) -> ModelRequest | None:
    """The call, where it is one: the script's process may have sent anything."""
    try:
        return ModelRequest.model_validate_json(text)
    except ValidationError:
        return None


def _call_number(text: str) -> int:
    """The number of a call that is none otherwise, so that its caller hears of it."""
    try:
        number = json.loads(text)["call"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    return number if isinstance(number, int) and 0 <= number < 1 << 31 else 0
