"""What AWS Lambda calls: `api.serverless.handler.handle`. The one place where something outlives a call unowned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from api.serverless.instance import Context, Instance
from api.serverless.settings import ServerlessSettings
from api.settings import read_settings
from workflows.logs import configure_logs


def handle(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Answer an event. Raises BadSettings with every call, as long as they are bad: Lambda logs it."""
    return _instance().handle(event, context)


@cache
def _instance() -> Instance:
    settings = read_settings(ServerlessSettings)
    configure_logs(settings.log_level)
    return Instance(settings)
