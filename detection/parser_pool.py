"""The quick checks, made in killable children of the interpreter that would run the script."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, cast

from detection.child_pool import ChildDied, ChildLate, ChildPool
from detection.notes import Note
from detection.rules import RULES
from detection.stage_reports import finding, finding_of, stage_report
from domain.errors import EnvironmentUnavailable, ParserTimeout
from domain.findings import StageReport
from domain.lifecycle import Stage
from domain.values import Value

ATTEMPTS = 2
"""A child may die of something else (an administrator, a full machine). No honest script kills two."""
_PROGRAM = Path(__file__).with_name("parser_child.py")


class ParsedScript(Value):
    """What the quick checks told."""

    report: StageReport
    missing_modules: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    """Top-level names of everything that the script imports absolutely."""
    defines_evaluate_model: bool = False


class _Reply(TypedDict):
    findings: list[Note]
    imports: list[str]
    missing_modules: list[str]
    defines_evaluate_model: bool


class ParserPool:
    """Children for each environment: pre-started for `eager`, for the others with the first that is asked of them."""

    def __init__(
        self,
        pythons: Mapping[str, Path],
        modules: Mapping[str, frozenset[str]],
        size: int = 2,
        eager: str | None = "default",
    ) -> None:
        self._pythons, self._modules, self._size, self._eager = pythons, modules, size, eager
        self._pools: dict[str, ChildPool] = {}
        self._lifetimes = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the children of `eager`. Raises AnalyserFailed where they cannot be started."""
        if self._eager is not None and self._eager in self._pythons:
            try:
                await (await self._pool(self._eager)).ready()
            except BaseException:  # cancelled too: who has not entered is never left
                await self._lifetimes.aclose()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lifetimes.aclose()

    async def check(self, source: bytes, environment: str, within: timedelta) -> ParsedScript:
        """Check `source` for an environment. Never takes longer than `within`.

        Raises ParserTimeout when it would, EnvironmentUnavailable, and AnalyserFailed where no child can be started.
        """
        pool = await self._pool(environment)
        request = {"source": base64.b64encode(source).decode("ascii")}
        deadline = asyncio.get_running_loop().time() + within.total_seconds()
        for _ in range(ATTEMPTS):
            try:
                reply = cast("_Reply", await pool.ask(request, deadline))
            except ChildLate:
                raise ParserTimeout("the quick checks did not answer in time") from None
            except ChildDied:
                continue
            return _parsed(reply, source)
        return ParsedScript(report=stage_report(Stage.QUICK_CHECKS, [finding(RULES["parser_died"])]))

    async def _pool(self, environment: str) -> ChildPool:
        if environment not in self._pythons:
            raise EnvironmentUnavailable(f"the environment {environment!r} is not configured here")
        pool = self._pools.get(environment)
        if pool is None:
            command = (str(self._pythons[environment]), "-I", "-S", str(_PROGRAM))
            pool = ChildPool(command, {"modules": sorted(self._modules[environment])}, self._size)
            self._pools[environment] = pool
            await self._lifetimes.enter_async_context(pool)
        return pool


def _parsed(reply: _Reply, source: bytes) -> ParsedScript:
    return ParsedScript(
        report=stage_report(Stage.QUICK_CHECKS, map(finding_of, reply["findings"]), source),
        missing_modules=tuple(reply["missing_modules"]),
        imports=tuple(reply["imports"]),
        defines_evaluate_model=reply["defines_evaluate_model"],
    )
