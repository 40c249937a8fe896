"""A process that writes beside others, and says what it has done: `python -m tests.storage.contender URL NAME`.

It submits under a key that all contenders share, begins the one execution, appends to the one journal, and goes on
appending to it until it is killed or its input ends.
"""

from __future__ import annotations

import asyncio
import sys

from storage.database import Database
from storage.evaluations import Evaluations, Idempotency
from storage.journal import Journal
from tests.storage.rows import RUN, A, a_line, later, new

APPENDS = 50


async def contend(url: str, name: str) -> None:
    async with Database(url) as database:
        evaluations, journal = Evaluations(database), Journal(database)
        submission = await evaluations.submit(new(name), Idempotency(key="shared", request_digest="d" * 64))
        say(f"created {submission.created}")
        say(f"begun {await evaluations.begin_execution(A, RUN, name, later(5))}")
        for frame in range(APPENDS):
            await journal.append(A, [a_line(frame, run="shared"), a_line(frame, run=name)])
        say("appended")
        if sys.stdin.readline():
            return
        frame = APPENDS
        while True:
            await journal.append(A, [a_line(frame, run=name)])
            say(f"kept {frame}")
            frame += 1


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - it speaks to the test


if __name__ == "__main__":
    asyncio.run(contend(sys.argv[1], sys.argv[2]))
