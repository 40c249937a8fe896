"""What answers is found out by asking, and a refusal is an answer too."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sandbox.controls import network_probe
from sandbox.controls.network_probe import nearest_doors, what_answers


@pytest.fixture(autouse=True)
def nothing_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_probe, "nearest_doors", lambda: ())
    monkeypatch.setattr(network_probe, "CLOSED_WITHIN", 0.2)


@pytest.fixture
def silent() -> Iterator[str]:
    """A door whose queue is full: the kernel drops who else knocks."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as each, ExitStack() as waiting:
        for _ in range(3):
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(each.getsockname())
        time.sleep(0.05)
        yield f"127.0.0.1:{each.getsockname()[1]}"


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as each:
        yield each


def test_where_nothing_answers_nothing_is_said(silent: str) -> None:
    assert what_answers([silent]) == ""


def test_an_open_door_answers(door: socket.socket, silent: str) -> None:
    address = f"127.0.0.1:{door.getsockname()[1]}"

    assert what_answers([silent, address]) == address


def test_a_closed_door_answers_too(door: socket.socket) -> None:
    address = f"127.0.0.1:{door.getsockname()[1]}"
    door.close()

    assert what_answers([address]) == address


def test_rules_that_come_late_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_probe, "CLOSED_WITHIN", 30.0)
    open_until = time.monotonic() + 0.3

    def late(_: object) -> list[tuple[str, int]]:
        return [("127.0.0.1", 1)] if time.monotonic() < open_until else []

    monkeypatch.setattr(network_probe, "_answering", late)

    assert what_answers() == ""
    assert time.monotonic() >= open_until


def test_the_metadata_of_the_cloud_is_always_asked() -> None:
    assert ("169.254.169.254", 80) in nearest_doors()


def test_no_connection_is_left_open(door: socket.socket) -> None:
    door.settimeout(5)
    taken: list[bytes] = []

    def take() -> None:
        connection, _ = door.accept()
        with connection:
            taken.append(connection.recv(1))

    taker = threading.Thread(target=take)
    taker.start()
    what_answers([f"127.0.0.1:{door.getsockname()[1]}"])
    taker.join()

    assert taken == [b""]
