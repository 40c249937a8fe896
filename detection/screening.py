"""Both static stages over many scripts, with one pool of children and without any server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from detection.parser_pool import ParserPool
from detection.static_analysis import StaticAnalyser
from domain.errors import PlatformError
from domain.findings import Finding, StageReport, Verdict
from domain.lifecycle import Stage
from domain.policy import Policy
from domain.values import Value

WITHIN = timedelta(seconds=45)
_ENVIRONMENT = "default"


class Screened(Value):
    """What the static stages say about one script."""

    name: str
    verdict: Verdict
    """Inconclusive: the analysis itself failed, which `note` tells."""
    findings: tuple[Finding, ...] = ()
    note: str = ""


class Screening:
    """Screens scripts for the interpreter that runs this. Used as an async context manager."""

    def __init__(self, policy: Policy, modules: frozenset[str] | None, size: int = 2) -> None:
        """`modules` None: every module that a script imports is taken to be there."""
        self._policy, self._modules, self._size = policy, modules, size
        known: Mapping[str, frozenset[str]] = {_ENVIRONMENT: modules or frozenset(sys.stdlib_module_names)}
        self._parsers = ParserPool({_ENVIRONMENT: Path(sys.executable)}, known, size)
        self._analyser = StaticAnalyser(size=size)
        self._lifetimes = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the children. Raises AnalyserFailed where they cannot be started."""
        await self._lifetimes.enter_async_context(self._analyser)
        await self._lifetimes.enter_async_context(self._parsers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lifetimes.aclose()

    async def all(self, scripts: Iterable[tuple[str, bytes | str]]) -> AsyncIterator[Screened]:
        """Each script's verdict, in the order given. At most a few are in memory at once.

        A text in the place of a script says why there is none to look at.
        """
        waiting: list[asyncio.Task[Screened]] = []
        try:
            for name, source in scripts:
                waiting.append(asyncio.create_task(self.one(name, source)))
                if len(waiting) >= 4 * self._size:
                    yield await waiting.pop(0)
            while waiting:
                yield await waiting.pop(0)
        finally:
            for task in waiting:
                task.cancel()

    async def one(self, name: str, source: bytes | str) -> Screened:
        """The verdict on one script. What stops it in the first stage is not analysed further."""
        if isinstance(source, str):
            return Screened(name=name, verdict=Verdict.INCONCLUSIVE, note=source)
        try:
            parsed = await self._parsers.check(source, _ENVIRONMENT, WITHIN)
            quick = self._without_guesses(parsed.report)
            if self._policy.verdict_of(quick) is Verdict.REJECTED:
                return Screened(name=name, verdict=Verdict.REJECTED, findings=quick.findings)
            static = await self._analyser.analyse(source, WITHIN)
        except PlatformError as failed:
            return Screened(name=name, verdict=Verdict.INCONCLUSIVE, note=str(failed))
        both = StageReport(stage=Stage.STATIC_ANALYSIS, findings=(*quick.findings, *static.findings))
        return Screened(name=name, verdict=self._policy.verdict_of(both), findings=both.findings)

    def _without_guesses(self, report: StageReport) -> StageReport:
        if self._modules is not None:
            return report
        kept = tuple(found for found in report.findings if found.rule != "missing_module")
        return report.model_copy(update={"findings": kept})
