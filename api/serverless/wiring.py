"""Puts the function together: the same services as an API process has, on parts that bear being frozen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from api.serverless.gateways import Queued, Reconnecting
from api.serverless.settings import ServerlessSettings
from api.services import Services
from api.submitting import Marks
from api.wiring import serving
from detection.parser_pool import ParsedScript, ParserPool
from domain.environments import Environment
from domain.errors import AnalyserFailed
from storage.catalogues import load_environments
from storage.connections import Connections
from storage.database import Database
from storage.rights import require_rights
from storage.schema import require_schema

if TYPE_CHECKING:
    from workflows.traces import Traces


@dataclass(frozen=True)
class Parts:
    """What a function works with."""

    services: Services
    connections: Connections
    gateway: Reconnecting


@asynccontextmanager
async def opened(settings: ServerlessSettings, traces: Traces | None) -> AsyncGenerator[Parts]:
    """The parts, until the context is left. Raises what `api.wiring.opened` raises; asks nothing of Temporal."""
    environments = load_environments(settings.environments_dir)
    async with AsyncExitStack() as lifetimes:
        database = await lifetimes.enter_async_context(Database(settings.database_url))
        await require_schema(database)
        await require_rights(database, "api")
        gateway = await _gateway(settings, traces, lifetimes)
        checker = await lifetimes.enter_async_context(ChecksHere(environments))
        marks = Marks.NEVER if settings.queue_url else Marks.AT_ONCE
        services = await lifetimes.enter_async_context(
            serving(settings, database, gateway, checker, environments, marks)
        )
        yield Parts(services, Connections(database), gateway)
        gateway.renew()


class ChecksHere(ParserPool):
    """Quick checks for the environments whose interpreter is in the function's image; the stage makes the others.

    Another version of Python would judge a script by another grammar. Children start with the first script: a request
    that only reads does not wait for them.
    """

    def __init__(self, environments: Mapping[str, Environment]) -> None:
        here = {name: each for name, each in environments.items() if Path(each.python).exists()}
        self._here = frozenset(here)
        super().__init__(
            {name: Path(each.python) for name, each in here.items()},
            {name: frozenset(each.modules) for name, each in here.items()},
            size=1,
            eager=None,
        )

    async def check(self, source: bytes, environment: str, within: timedelta) -> ParsedScript:
        """Check `source`. Raises AnalyserFailed where this is left to the stage."""
        if environment not in self._here:
            raise AnalyserFailed("the environment's interpreter is not here")
        return await super().check(source, environment, within)


async def _gateway(settings: ServerlessSettings, traces: Traces | None, lifetimes: AsyncExitStack) -> Reconnecting:
    if settings.queue_url is None:
        direct = Reconnecting(settings, traces)
        await direct.prepare()
        return direct
    from workflows.aws.intake_queue import IntakeQueue  # noqa: PLC0415 - it loads what signs
    from workflows.aws.signed_http import signing  # noqa: PLC0415

    http = await lifetimes.enter_async_context(signing(settings.aws_region or "", "sqs"))
    return Queued(settings, traces, IntakeQueue(http, settings.queue_url))
