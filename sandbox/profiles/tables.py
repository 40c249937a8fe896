"""The reviewed tables of controls and of telemetry, as values: which of them each backend has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from domain.runs import Backend
from domain.values import Value

_FOLDER = Path(__file__).parent
_LEVELS = {1, 2, 3}


class Control(Value):
    """One thing that is checked inside a box before a script begins."""

    name: str
    level: int
    backends: frozenset[Backend]
    observed: str
    why: str
    where_possible: bool = False
    """Whether it is asked for only where the machine could give it to the run."""


class Telemetry(Value):
    """One thing that is known of a run afterwards."""

    name: str
    backends: frozenset[Backend]
    source: str
    why: str


@cache
def controls() -> tuple[Control, ...]:
    """Every control, in the order of the table. Raises ValueError where a line of it says too little."""
    found: list[Control] = []
    for head, observed, why in _lines("controls.txt"):
        name, level, *backends = head.split()
        if int(level) not in _LEVELS:
            raise ValueError(f"no such level: {head}")
        bare = name.strip("[]")
        found.append(
            Control(
                name=bare,
                level=int(level),
                backends=frozenset(map(Backend, backends)),
                observed=observed,
                why=why,
                where_possible=name != bare,
            )
        )
    return tuple(found)


@cache
def telemetry() -> tuple[Telemetry, ...]:
    """Every kind of telemetry, in the order of the table. Raises ValueError where a line of it says too little."""
    found: list[Telemetry] = []
    for head, source, why in _lines("telemetry.txt"):
        name, *backends = head.split()
        found.append(Telemetry(name=name, backends=frozenset(map(Backend, backends)), source=source, why=why))
    return tuple(found)


def required_of(backend: Backend, *, possible: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The controls that a run in this backend must be seen to have; `possible` names those asked for in brackets."""
    return tuple(
        each.name
        for each in controls()
        if backend in each.backends and (not each.where_possible or each.name in possible)
    )


def level_of(checks: Mapping[str, bool]) -> int:
    """How strong a run's isolation is, by what was seen in force; 0 where anything asked for was not."""
    if not all(checks.values()):
        return 0
    return max((each.level for each in controls() if each.name in checks), default=0)


def gives(backend: Backend, name: str) -> bool:
    """Whether this backend gives that telemetry."""
    return any(each.name == name and backend in each.backends for each in telemetry())


def _lines(file: str) -> Iterator[tuple[str, str, str]]:
    for line in (_FOLDER / file).read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"a line without its reasons: {line}")
        yield parts[0], parts[1], parts[2]
