"""Places in an evaluation's journal, as clients see them: opaque, and good for that evaluation alone."""

from __future__ import annotations

import base64
import binascii
import re

from storage.records import BadCursor, EvaluationRecord

_PLACE = re.compile(r"1:(\d{1,12}):([a-z2-7]{8})")


def cursor_at(evaluation_id: str, seq: int) -> str:
    """The cursor behind the entry `seq`."""
    return base64.urlsafe_b64encode(f"1:{seq}:{evaluation_id[-8:]}".encode()).decode().rstrip("=")


def seq_at(record: EvaluationRecord, cursor: str | None) -> int:
    """The entry that a cursor is behind; 0, before the first, where there is none.

    Raises BadCursor, also for a place that the journal has not come to: whoever waited there would wait in vain.
    """
    if not cursor:
        return 0
    try:
        words = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise BadCursor("this is no cursor of a journal") from error
    place = _PLACE.fullmatch(words)
    if place is None or place[2] != record.evaluation_id[-8:] or int(place[1]) > record.last_seq:
        raise BadCursor("this is no cursor of this journal")
    return int(place[1])
