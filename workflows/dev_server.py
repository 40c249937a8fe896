"""How a Temporal dev server has to be started for Airlock: one list for the embedded stack, tests and benchmarks."""

from __future__ import annotations

from pathlib import Path

from workflows.search_attributes import KEYS

HISTORY_QUEUES = ("transfer", "visibility", "timer", "outbound")

DYNAMIC_CONFIG: tuple[str, ...] = (
    # Both, so that the server pushes a cancellation to the worker: 14-63 ms instead of the next heartbeat
    "system.enableCancelActivityWorkerCommand=true",
    "frontend.WorkerCommandsEnabled=true",
    # The default of 20 a second costs up to 50 ms at each hop of a one-shard server
    *(f"history.{queue}ProcessorMaxPollRPS=2000" for queue in HISTORY_QUEUES),
    # With four partitions a queue is not first come, first served. The dev server's flag has no queue: all get one
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    # Tells of a workflow whose task fails (TemporalReportedProblems) after two failures instead of five
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2",
)

SQLITE_PRAGMAS = ("journal_mode=wal", "synchronous=normal")
"""Three times the throughput of a file database without them."""


def tuning_arguments() -> list[str]:
    """The dynamic configuration as arguments of `temporal server start-dev`."""
    return [argument for setting in DYNAMIC_CONFIG for argument in ("--dynamic-config-value", setting)]


def search_attribute_arguments() -> list[str]:
    """The registration of every search attribute as arguments."""
    pairs = [f"{key.name}={key.indexed_value_type.name.title()}" for key in KEYS]
    return [argument for pair in pairs for argument in ("--search-attribute", pair)]


def dev_server_arguments(database: Path | None, host: str, port: int, ui_port: int, namespace: str) -> list[str]:
    """Everything behind `temporal`. `database` None: in memory, gone with the process."""
    arguments = ["server", "start-dev", "--ip", host, "--port", str(port), "--ui-port", str(ui_port)]
    arguments += ["--namespace", namespace, "--log-format", "json", "--log-level", "warn"]
    if database is not None:
        arguments += ["--db-filename", str(database)]
        arguments += [argument for pragma in SQLITE_PRAGMAS for argument in ("--sqlite-pragma", pragma)]
    return arguments + search_attribute_arguments() + tuning_arguments()
