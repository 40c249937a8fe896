"""What happened to an evaluation, in order: the entries of its journal."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from domain.lifecycle import Stage
from domain.values import Value


class EntryKind(StrEnum):
    """What an entry tells."""

    STATUS = "status"
    STAGE = "stage"
    LOG = "log"
    MODEL_CALL = "model_call"
    FINDING = "finding"
    RECEIPT = "receipt"
    STOP = "stop"


class NewEntry(Value):
    """An entry before it has its place. `run` and `frame` make appending idempotent: the same pair is kept once."""

    at: datetime
    kind: EntryKind
    run: str = ""
    """The run it stems from, empty outside runs."""
    frame: int | None = None
    """The number of the frame within the run, None outside runs."""
    stage: Stage | None = None
    payload: dict[str, JsonValue] = Field(default_factory=dict)


class Entry(NewEntry):
    """An entry in its place. `seq` counts from 1 within one evaluation, without gaps."""

    seq: int
