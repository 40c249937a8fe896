"""What the world outside sees of an execution: a model's endpoint that notes who asked, and what must be true of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, func, select

from domain.journal import Entry, EntryKind
from domain.lifecycle import Status, is_terminal
from storage.database import Database
from storage.evaluations import EvaluationRecord
from storage.journal import Journal
from storage.tables import evaluations

MODEL = "counted"
"""A model that leaves a trace of each call here. A trial has another, canned one."""
STEPS = 4
SCRIPT = f"""import secrets
import time

RUN = secrets.token_hex(8)


def evaluate_model(model, name):
    for step in range({STEPS}):
        model.generate(name + " " + RUN + " " + str(step))
        time.sleep(0.25)
    return name
"""
"""Takes about a second; each time that it is executed it has another number."""
PLATFORM = frozenset({"worker_lost", "runner_lost", "no_worker", "workflow_lost", "storage_unavailable", "node_lost"})
"""What an evaluation may end with where a part died under it. Not `platform_error`: that is a defect of ours."""


class Effect(NamedTuple):
    """One call of the model: an effect that nobody can take back."""

    name: str
    run: str
    step: str


class Outside:
    """The endpoint, in a thread of its own. `effects` are in the order in which they came."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self._lock = Lock()
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outside._note(body["messages"][-1]["content"])
                answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": "noted"}}]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the library's name

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def _note(self, prompt: str) -> None:
        name, run, step = prompt.split()
        with self._lock:
            self.effects.append(Effect(name, run, step))


class Verdict(NamedTuple):
    """What became of some evaluations. All but `ends` must be empty."""

    ends: dict[str, int]
    lost: tuple[str, ...]
    """No row, or one that nobody has asked for."""
    stuck: tuple[str, ...]
    twice: tuple[str, ...]
    mute: tuple[str, ...]
    """Not completed, and without a cause that tells of a part that died."""
    untrue: tuple[str, ...]
    """Completed, but not every step of it was seen."""

    @property
    def faultless(self) -> bool:
        return not (self.lost or self.stuck or self.twice or self.mute or self.untrue)


async def judged(
    database: Database, outside: Outside, records: Sequence[EvaluationRecord | None], asked: int | None = None
) -> Verdict:
    """Judge records by what they say, what the journal says, and what was seen from outside."""
    found = [record for record in records if record is not None]
    lost = ["a row is missing"] * (len(records) - len(found))
    rows = await database.read(lambda connection: _count(connection, evaluations.c.evaluation_id))
    if asked is not None and rows != asked:
        lost.append(f"{rows} rows for {asked} submissions")
    seen: dict[str, list[Effect]] = defaultdict(list)
    for effect in list(outside.effects):
        seen[effect.name].append(effect)
    ends: dict[str, int] = defaultdict(int)
    for record in found:
        ends[f"{record.status} {record.cause.code}" if record.cause else record.status.value] += 1
    journal = Journal(database)
    return Verdict(
        ends=dict(ends),
        lost=tuple(lost),
        stuck=tuple(f"{each.evaluation_id} {each.status}" for each in found if not is_terminal(each.status)),
        twice=tuple([why for each in found for why in await _twice(journal, each, seen[_name(each)])]),
        mute=tuple(f"{each.evaluation_id} {each.status} {each.cause}" for each in found if _is_mute(each)),
        untrue=tuple(each.evaluation_id for each in found if not _is_true(each, seen[_name(each)])),
    )


async def _twice(journal: Journal, record: EvaluationRecord, effects: Sequence[Effect]) -> list[str]:
    """Signs that an evaluation was executed more than once."""
    entries = [entry for entry in await journal.read(record.evaluation_id) if entry.run.endswith("-execution")]
    calls = [_call(entry) for entry in entries if entry.kind is EntryKind.MODEL_CALL]
    signs = {
        "runs were seen from outside": len({effect.run for effect in effects}),
        "times one step was seen from outside": max((effects.count(each) for each in effects), default=0),
        "beginnings are journaled": sum(entry.payload.get("state") == "began" for entry in entries),
        "receipts are journaled": sum(entry.kind is EntryKind.RECEIPT for entry in entries),
        "times one call is journaled": max((calls.count(call) for call in calls), default=0),
    }
    return [f"{record.evaluation_id}: {count} {sign}" for sign, count in signs.items() if count > 1]


def _call(entry: Entry) -> object:
    request = entry.payload["request"]
    assert isinstance(request, dict)
    return request["call"]


def _is_mute(record: EvaluationRecord) -> bool:
    if record.status is Status.COMPLETED:
        return False
    explained = record.cause is not None and record.cause.code in PLATFORM and bool(record.cause.message)
    return is_terminal(record.status) and not (record.status is Status.ERROR and explained)


def _is_true(record: EvaluationRecord, effects: Sequence[Effect]) -> bool:
    """Whether one that has completed did everything."""
    if record.status is not Status.COMPLETED or record.model_id != MODEL:
        return True
    result = record.report.result if record.report else None
    return sorted(effect.step for effect in effects) == [str(step) for step in range(STEPS)] and result == _name(record)


def _name(record: EvaluationRecord) -> str:
    return str(record.config.params.get("name", ""))


def _count(connection: Connection, column: Any) -> int:
    return connection.execute(select(func.count()).select_from(column.table)).scalar_one()
