"""Cases of one backend while their tests run: they are tried ahead, a few at once, on the module's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from domain.environments import Environment
from sandbox.escape_cases import EscapeCase
from sandbox.escape_oracle import CaseResult
from sandbox.escape_suite import AT_ONCE, EscapeSuite
from sandbox.host_canaries import host_canaries
from sandbox.local.residue import Residue
from tests.sandbox.escapes.conftest import offered
from tests.sandbox.escapes.pods import suite_of_pods

Attempt = Callable[[EscapeSuite, EscapeCase], Awaitable[CaseResult]]


class Backstage:
    """Asked for a result, it waits for it."""

    def __init__(self) -> None:
        self.begin: dict[tuple[str, str], Callable[[], asyncio.Task[CaseResult]]] = {}
        self.tasks: dict[tuple[str, str], asyncio.Task[CaseResult]] = {}
        self._told: set[tuple[str, str]] = set()
        self.skipped: dict[str, str] = {}
        """Why a backend cannot be had here: it must not take the cases of the others with it."""

    async def result(self, backend: str, name: str) -> CaseResult:
        """What came of a case. Whoever asks again has it tried again."""
        if backend in self.skipped:
            pytest.skip(self.skipped[backend])
        case = backend, name
        if case in self._told:
            self.tasks[case] = self.begin[case]()
        self._told.add(case)
        return await self.tasks[case]


@asynccontextmanager
async def backstage(
    request: pytest.FixtureRequest, environment: Environment, state: Path, cases: Mapping[str, EscapeCase], how: Attempt
) -> AsyncGenerator[Backstage]:
    """Begin to try what this session has selected of `cases`."""
    made = Backstage()
    async with AsyncExitStack() as opened:
        canaries = await opened.enter_async_context(host_canaries())
        for backend, names in _wanted(request).items():
            try:
                if backend == "kubernetes":
                    suite = await opened.enter_async_context(suite_of_pods(request, canaries))
                else:
                    sandbox = await offered(backend, environment, state)
                    suite = EscapeSuite(sandbox, Residue(sandbox, state), environment.name, canaries)
            except pytest.skip.Exception as reason:
                made.skipped[backend] = str(reason)
                continue
            slots = asyncio.Semaphore(AT_ONCE)
            for name in names:
                case = backend, name
                made.begin[case] = partial(_begun, suite, slots, cases[name], how)
                made.tasks[case] = made.begin[case]()
        try:
            yield made
        finally:
            for task in made.tasks.values():
                task.cancel()
            await asyncio.gather(*made.tasks.values(), return_exceptions=True)


def _begun(suite: EscapeSuite, slots: asyncio.Semaphore, case: EscapeCase, how: Attempt) -> asyncio.Task[CaseResult]:
    return asyncio.create_task(_tried(suite, slots, case, how))


async def _tried(suite: EscapeSuite, slots: asyncio.Semaphore, case: EscapeCase, how: Attempt) -> CaseResult:
    async with slots:
        return await how(suite, case)


def _wanted(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """The cases that this session has selected, by backend."""
    wanted: dict[str, list[str]] = {}
    for item in request.session.items:
        called = getattr(item, "callspec", None)
        if called is not None and {"backend", "name"} <= called.params.keys() and item.path == request.path:
            wanted.setdefault(called.params["backend"], []).append(called.params["name"])
    return wanted
