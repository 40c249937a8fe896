"""Follows one evaluation from event to event, over as many streams as it takes."""

from __future__ import annotations

import time
from collections.abc import Generator

from cli.client import AirlockClient, Json, ServerAway, ServerEvent, part_of
from domain.lifecycle import Status, is_terminal

STREAM_ENDS = "end"
"""The kind of a stream's last event, which tells of the stream and not of the evaluation."""
PATIENCE = 60.0
"""Seconds for which a server that is away is asked again, before following is given up."""


def follow(client: AirlockClient, evaluation_id: str, after: str | None = None) -> Generator[ServerEvent]:
    """Every event from `after` on, each once, until the evaluation has ended. Raises ServerAway, Refused.

    A stream may end before its evaluation does, by its longest life or by a restart: the next goes on behind it.
    """
    lost_since: float | None = None
    while True:
        try:
            for event in client.events(evaluation_id, after):
                lost_since = None
                after = event.cursor or after
                if event.kind == STREAM_ENDS:
                    break
                yield event
                if status_in(event) in _ENDS:
                    return
            if is_terminal(Status(client.status(evaluation_id)["status"])):
                return
        except ServerAway:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > PATIENCE:
                raise
        time.sleep(0.3)


_ENDS = frozenset(status for status in Status if is_terminal(status))


def payload_of(event: ServerEvent) -> Json:
    """What the event tells, without where it stands in the journal."""
    return part_of(event.data, "payload") or event.data


def status_in(event: ServerEvent) -> Status | None:
    """The status that an event announces. None where it announces none."""
    word = payload_of(event).get("status") if event.kind == "status" else None
    return Status(word) if word in set(Status) else None
