"""Whether any network can be reached: tried before the wall closes, because behind it nobody can open a connection.

An answer of any kind means that packets come and go, a refusal too. The rules of a network may come a moment after the
pod, so what answers is asked again until it is silent, or the time for that is over.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ANSWERS_WITHIN = 0.06
"""Seconds. The nearest doors are asked, the node's own among them, and they answer within a millisecond."""
CLOSED_WITHIN = 5.0
"""Seconds for the rules to come into force."""
_ASK_EVERY = 0.1
_METADATA = ("169.254.169.254", 80)
_NODE_PORTS = (10250, 22)
"""A node's kubelet, and what most machines have: a closed door answers too."""
_ANSWERS = frozenset({0, errno.ECONNREFUSED, errno.ECONNRESET})


def what_answers(more: Iterable[str] = ()) -> str:
    """The doors that still answer in the end, `host:port` each; empty where none does. `more` are an operator's own."""
    doors = (*nearest_doors(), *map(_door, more))
    until = time.monotonic() + CLOSED_WITHIN
    while (answering := _answering(doors)) and time.monotonic() < until:
        time.sleep(_ASK_EVERY)
    return " ".join(f"{host}:{port}" for host, port in answering)


def nearest_doors() -> tuple[tuple[str, int], ...]:
    """What a pod could reach first where nobody keeps it: its node, the API server, the cloud's metadata."""
    doors = [(gateway, port) for gateway in _gateways() for port in _NODE_PORTS]
    server, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if server and port.isdigit():
        doors.append((server, int(port)))
    return (*doors, _METADATA)


def _gateways() -> set[str]:
    try:
        with open("/proc/net/route", encoding="ascii") as file:
            routes = [line.split() for line in file.readlines()[1:]]
    except OSError:
        return set()
    return {socket.inet_ntoa(bytes.fromhex(fields[2])[::-1]) for fields in routes if int(fields[2], 16)}


def _answering(doors: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    poll = select.poll()
    asked: dict[int, tuple[socket.socket, tuple[str, int]]] = {}
    found: list[tuple[str, int]] = []
    for door in doors:
        family = socket.AF_INET6 if ":" in door[0] else socket.AF_INET
        caller = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        at_once = caller.connect_ex(door)
        if at_once in _ANSWERS:
            found.append(door)
        if at_once == errno.EINPROGRESS:
            poll.register(caller, select.POLLOUT)
            asked[caller.fileno()] = caller, door
        else:
            caller.close()
    until = time.monotonic() + ANSWERS_WITHIN
    while asked and (left := until - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            caller, door = asked.pop(descriptor)
            if caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in _ANSWERS:
                found.append(door)
            caller.close()
    for caller, _ in asked.values():
        caller.close()
    return found


def _door(words: str) -> tuple[str, int]:
    host, _, port = words.rpartition(":")
    return host.strip("[]"), int(port)
