from __future__ import annotations

import socket

from cli.stack.ports import HOST, free_port


def test_a_taken_port_is_no_error_the_next_free_one_is_used_and_said() -> None:
    said: list[str] = []
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        usual = other.getsockname()[1]

        chosen = free_port(usual, "the API", set(), said.append)

    assert chosen > usual
    assert said == [f"Port {usual} is taken: the API is on port {chosen}."]


def test_a_free_port_is_used_without_a_word() -> None:
    said: list[str] = []
    with socket.socket() as other:
        other.bind((HOST, 0))
        usual = other.getsockname()[1]

    assert free_port(usual, "the API", set(), said.append) == usual
    assert said == []


def test_two_uses_never_get_the_same_port() -> None:
    taken: set[int] = set()

    chosen = [free_port(0, "something", taken, lambda _: None) for _ in range(20)]

    assert len(set(chosen)) == 20
    assert taken == set(chosen)
