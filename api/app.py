"""The ASGI apps: `requests`, `streams`, and both in one for a laptop. Stateless: what they serve is in `services`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from api import evaluations, exporting, health, installation, orders, output, problems, streams
from api.body_limit import BodyLimit
from api.json_response import AsciiJson
from api.measuring import Measured
from api.openapi import described
from api.request_context import RequestContext
from api.services import Services
from api.unambiguous import Unambiguous
from domain.limits import MAX_REQUEST_BYTES
from workflows.metrics import Instruments

if TYPE_CHECKING:
    from workflows.traces import Traces

TITLE = "Airlock"
VERSION = "1"
REQUESTS: Sequence[APIRouter] = (
    health.router,
    evaluations.router,
    output.router,
    orders.router,
    installation.router,
)
STREAMS: Sequence[APIRouter] = (health.router, streams.router, exporting.router)
_ROUTERS = {"requests": REQUESTS, "streams": STREAMS, "all": (*REQUESTS, *STREAMS[1:])}


def create_app(
    services: Services,
    which: Literal["all", "requests", "streams"] = "all",
    instruments: Instruments | None = None,
    traces: Traces | None = None,
    more: Sequence[APIRouter] = (),
) -> FastAPI:
    """An app that serves with `services`, whose lifetimes are the caller's."""
    app = FastAPIOffline(  # its documentation page loads nothing from anywhere else
        title=TITLE,
        version=VERSION,
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=AsciiJson,
    )
    app.state.services = services
    for router in (*_ROUTERS[which], *more):
        app.include_router(router)
    problems.install(app)
    app.add_middleware(BodyLimit, max_bytes=MAX_REQUEST_BYTES)
    app.add_middleware(Unambiguous)
    app.add_middleware(RequestContext)
    if traces is not None:
        from api.tracing import Traced  # noqa: PLC0415 - it loads OpenTelemetry

        app.add_middleware(Traced, traces=traces)
    app.add_middleware(Measured, instruments=instruments or Instruments())  # added last: the outermost

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app)
        return app.openapi_schema

    app.openapi = openapi
    return app
