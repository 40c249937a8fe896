"""The settings of the dev server: where it listens, what it keeps, and that cancellations are pushed."""

from pathlib import Path

from workflows.dev_server import dev_server_arguments
from workflows.search_attributes import KEYS


def pairs(arguments: list[str]) -> list[tuple[str, str]]:
    return list(zip(arguments[2::2], arguments[3::2], strict=True))


def test_a_file_database_is_written_ahead() -> None:
    told = pairs(dev_server_arguments(Path("airlock.db"), "127.0.0.1", 1, 2, "default"))

    assert ("--db-filename", "airlock.db") in told
    assert ("--sqlite-pragma", "journal_mode=wal") in told


def test_both_switches_of_pushed_cancellation_are_on() -> None:
    told = pairs(dev_server_arguments(None, "127.0.0.1", 1, 2, "default"))

    assert ("--dynamic-config-value", "system.enableCancelActivityWorkerCommand=true") in told
    assert ("--dynamic-config-value", "frontend.WorkerCommandsEnabled=true") in told
    assert "--db-filename" not in dict(told)


def test_every_search_attribute_is_registered_and_four_keyword_slots_stay_free() -> None:
    told = pairs(dev_server_arguments(None, "127.0.0.1", 1, 2, "default"))
    registered = [value for name, value in told if name == "--search-attribute"]

    assert [value.partition("=")[0] for value in registered] == [key.name for key in KEYS]
    assert sum(value.endswith("=Keyword") for value in registered) <= 10 - 4
