"""What is done with the events of a run while it goes on: journaled, judged, and a run in the wrong place ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import assert_never

from pydantic import JsonValue

from activities.clock import now
from activities.ports import RunJournal
from detection.behaviour.watch import BehaviourWatch
from domain.errors import EnvironmentChanged
from domain.findings import MAX_FINDINGS_PER_STAGE, Finding, Verdict
from domain.journal import EntryKind, NewEntry
from domain.lifecycle import Stage
from domain.policy import Policy
from domain.runs import RunRecord, RunReport
from sandbox.port import Asked, Began, Printed, RunEvent, Tried


class RunWatch:
    """The watcher of one run. A finding that `stops_by` rejects sets `stop`; None lets everything go on.

    Raises EnvironmentChanged, which ends the run, where it began in another environment than `environment_digest`.
    """

    def __init__(
        self,
        journal: RunJournal,
        run_id: str,
        stage: Stage,
        script: bytes,
        *,
        stop: asyncio.Event,
        stops_by: Policy | None = None,
        environment_digest: str | None = None,
    ) -> None:
        self._journal = journal
        self._run_id = run_id
        self._stage = stage
        self._behaviour = BehaviourWatch(script)
        self._stop = stop
        self._stops_by = stops_by
        self._environment_digest = environment_digest
        self._told: set[Finding] = set()

    async def see(self, event: RunEvent) -> None:
        """Take one event in."""
        match event:
            case Began():
                await self._begin(event)
            case Printed(stream=stream, text=text):
                await self._keep(event, EntryKind.LOG, {"stream": stream, "text": text})
                await self._found(self._behaviour.hear(f"its {stream}", text), frame=None)
            case Asked():
                words = event.model_dump(mode="json", include={"request", "answer", "milliseconds"})
                await self._keep(event, EntryKind.MODEL_CALL, words)
                heard = self._behaviour.hear("its prompts", _prompt_of(event))
                heard = heard or self._behaviour.hear("its model calls", event.request.model_dump_json())
                await self._found(heard, frame=None)
            case Tried():
                await self._found(self._behaviour.see(event.attempt), frame=event.frame)
            case _:
                assert_never(event)

    def findings(self, report: RunReport) -> tuple[Finding, ...]:
        """Every finding of the run that has ended, the heaviest first."""
        return self._behaviour.conclude_run(report)

    def findings_so_far(self) -> tuple[Finding, ...]:
        """Those of a run that was lost, the heaviest first."""
        return self._behaviour.conclude(RunRecord())

    async def _begin(self, event: Began) -> None:
        if self._environment_digest not in {None, event.environment_digest}:
            raise EnvironmentChanged("the environment is not the one that the trial ran in")
        isolation = event.isolation.model_dump(mode="json")
        await self._keep(event, EntryKind.STAGE, {"state": "began", "isolation": isolation})

    async def _found(self, found: Finding | None, *, frame: int | None) -> None:
        """`frame` is None where the frame has an entry of its own already."""
        if found is None:
            return
        if self._stops_by is not None and self._stops_by.verdict_on(found) is Verdict.REJECTED:
            self._stop.set()
        if found not in self._told and len(self._told) < MAX_FINDINGS_PER_STAGE:
            self._told.add(found)
            await self._put(frame, EntryKind.FINDING, found.model_dump(mode="json"))

    async def _keep(self, event: RunEvent, kind: EntryKind, payload: Mapping[str, JsonValue]) -> None:
        await self._put(event.frame, kind, payload)

    async def _put(self, frame: int | None, kind: EntryKind, payload: Mapping[str, JsonValue]) -> None:
        await self._journal.put(
            NewEntry(at=now(), kind=kind, run=self._run_id, frame=frame, stage=self._stage, payload=dict(payload))
        )


def _prompt_of(event: Asked) -> str:
    """What was said alone: a secret may come a letter with each call."""
    return "".join(message.content for message in event.request.messages)
