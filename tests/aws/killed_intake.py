"""An intake that is killed once a call was made: `... killed_intake CALL DATABASE TEMPORAL QUEUE DEAD`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

from storage.database import Database
from storage.evaluations import Evaluations
from tests.aws.conftest import REGION
from worker import intake
from worker.intake import Accepted, Intake, Queue, Starter
from workflows.aws.intake_queue import IntakeQueue
from workflows.aws.signed_http import signing
from workflows.client import Workflows, connect

CALLS = ("receive", "unstarted_one", "start", "mark_started", "delete")
"""What an intake does with a message, in its order."""
VISIBILITY_SECONDS = 2


class Deadly:
    """Passes everything on, and kills the process behind one call."""

    def __init__(self, inner: object, call: str) -> None:
        self._inner, self._call = inner, call

    def __getattr__(self, name: str) -> object:
        method = cast("Callable[..., Awaitable[object]]", getattr(self._inner, name))
        if name != self._call:
            return method

        async def called(*args: Any, **kwargs: Any) -> object:
            answer = await method(*args, **kwargs)
            if answer != []:  # a poll that found nothing is none
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return called


async def main(call: str, url: str, temporal: str, queue: str, dead: str) -> None:
    intake.VISIBILITY_SECONDS = VISIBILITY_SECONDS
    async with Database(url) as database, signing(REGION, "sqs") as http:
        workflows = Workflows(await connect(temporal, "default"))
        parts = [Deadly(each, call) for each in (IntakeQueue(http, queue, dead), Evaluations(database), workflows)]
        await Intake(cast("Queue", parts[0]), cast("Accepted", parts[1]), cast("Starter", parts[2])).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
