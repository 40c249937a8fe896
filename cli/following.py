"""Follows one evaluation from event to event, over as many streams as it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from cli.client import AirlockClient, Json, Refused, ServerAway, ServerEvent, part_of
from domain.lifecycle import Status, is_terminal

STREAM_ENDS = "end"
"""The kind of a stream's last event, which tells of the stream and not of the evaluation."""
PATIENCE = 60.0
"""Seconds for which a server that is away is asked again, before following is given up."""
PAUSE = 0.3
"""Seconds before the next stream."""
TOO_MANY = 429


def follow(
    client: AirlockClient, evaluation_id: str, after: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> Generator[ServerEvent]:
    """Every event from `after` on, each once, until the evaluation has ended. Raises ServerAway, Refused.

    A stream may end before its evaluation does, by its longest life or by a restart: the next goes on behind it.
    """
    lost_since: float | None = None
    has_ended = False
    while True:
        pause = PAUSE
        try:
            for event in client.events(evaluation_id, after):
                lost_since = None
                after = event.cursor or after
                if event.kind == STREAM_ENDS:
                    break
                yield event
                if status_in(event) in _ENDS:
                    return
            if has_ended:
                return
            # What came between the end of that stream and this answer is in one more
            has_ended = status_named(client.status(evaluation_id)) in _ENDS
            lost_since = None
        except (ServerAway, Refused) as error:
            lost_since = lost_since or time.monotonic()
            if not _may_pass(error) or time.monotonic() - lost_since > PATIENCE:
                raise
            pause = max(PAUSE, min(error.retry_after or 0, PATIENCE)) if isinstance(error, Refused) else PAUSE
        sleep(pause)


_ENDS = frozenset(status for status in Status if is_terminal(status))


def _may_pass(error: ServerAway | Refused) -> bool:
    return isinstance(error, ServerAway) or error.status == TOO_MANY


def payload_of(event: ServerEvent) -> Json:
    """What the event tells, without where it stands in the journal."""
    return part_of(event.data, "payload") or event.data


def status_in(event: ServerEvent) -> Status | None:
    """The status that an event announces. None where it announces none."""
    return status_named(payload_of(event)) if event.kind == "status" else None


def status_named(answer: Json) -> Status | None:
    """The status in an answer. None where it is one that this release does not know."""
    word = answer.get("status")
    return Status(word) if word in set(Status) else None
