"""Rules about sockets and addresses."""

from __future__ import annotations

import re

from detection.rule_tables.rule import Rule
from detection.rules import RULES
from detection.sensitive_paths import is_container_engine, names_metadata_service
from domain.runs import Attempt

_ADDRESS = re.compile(r"^(?:[\d.]+|\[[0-9a-fA-F:.%\w]*\]):\d+$")
_NAME_SERVICES = frozenset({"/var/run/nscd/socket", "/run/nscd/socket", "/dev/log"})
"""The C library asks these by itself, as for a home directory."""
_USER_DATABASE = "/run/systemd/userdb/"


def connect_rule(attempt: Attempt) -> Rule | None:
    """Any address is too many; a socket file is another program on this machine."""
    target = attempt.target
    if target in {"", "family 0"}:
        return None  # a message on a connected pair; a disconnect
    if target.startswith(("/", "@")):
        return _local_rule(target)
    if names_metadata_service(target):
        return RULES["contacts_metadata_service"]
    return RULES["contacts_network"]


def bind_rule(attempt: Attempt) -> Rule:
    """Waiting for others: `multiprocessing` does it on files, servers on addresses."""
    local = attempt.target.startswith(("/", "@"))
    return RULES["contacts_local_socket" if local else "listens"]


def socket_rule(attempt: Attempt) -> Rule | None:
    """Making a socket harms nobody; some kinds serve nothing honest."""
    family, _, kind = attempt.target.partition(" ")
    if family == "unix" or attempt.target.startswith(("setsockopt", "family 16 ")):
        return None  # netlink: the C library asks it which addresses there are
    if family in {"inet", "inet6"} and kind in {"stream", "datagram"}:
        return RULES["creates_socket"]
    return RULES["creates_special_socket"]


def address_of(attempt: Attempt) -> str | None:
    """The network address of an attempt, None where it has none."""
    return attempt.target if attempt.kind == "connect" and _ADDRESS.match(attempt.target) else None


def _local_rule(path: str) -> Rule | None:
    if is_container_engine(path):
        return RULES["contacts_engine"]
    if path in _NAME_SERVICES or path.startswith(_USER_DATABASE):
        return None
    return RULES["contacts_local_socket"]
