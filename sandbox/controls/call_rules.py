"""What the filter says to each system call, read from profiles/syscalls.txt, which says why."""

from __future__ import annotations

from sandbox.controls.kernel import read_profile, system_call_numbers

_OPERATORS = ("!=", "==", "=", "!&", "&")
_ACTIONS = ("allow", "watch", "ask", "refuse", "absent")
CHANNEL = "CHANNEL"
"""A condition's value that stands for the descriptor over which the listener is handed over."""


class Condition:
    """A comparison of one argument of a call, on the low word of its register (`==` on both)."""

    __slots__ = ("argument", "operator", "values")

    def __init__(self, argument: int, operator: str, values: tuple[int | str, ...]) -> None:
        self.argument = argument
        self.operator = operator
        self.values = values


class CallRule:
    """What happens when one call is made. With conditions: it passes where all hold, and is notified otherwise."""

    __slots__ = ("action", "conditions", "kind", "name", "number")

    def __init__(self, name: str, number: int, action: str, kind: str, conditions: tuple[Condition, ...]) -> None:
        self.name = name
        self.number = number
        self.action = action
        self.kind = kind
        self.conditions = conditions

    @property
    def notified(self) -> bool:
        """Whether the recorder may hear of it."""
        return self.action in {"watch", "ask", "refuse"}


START = "START"
"""One that stands for the address of the path of the one program that may be executed."""


_READ: list[tuple[str, CallRule]] = []


def read_call_rules(*, recorded: bool, listened: bool = True) -> dict[int, CallRule]:
    """The rules by number.

    `recorded` is whether opens for reading are to be seen too, `listened` whether anybody answers at all: where nobody
    does, `watch` passes, and a rule with conditions refuses what does not meet them.
    """
    modes = {"": True, "unrecorded": not recorded and listened, "unlistened": not listened}
    rules: dict[int, CallRule] = {}
    for mode, rule in profile():
        if modes[mode]:
            if rule.number in rules and not mode:
                raise ValueError(f"{rule.name} is named twice")
            rules[rule.number] = rule
    return rules


def profile() -> list[tuple[str, CallRule]]:
    """What stands in the profile, each with its mode: read once, by whoever asks first. Raises ValueError."""
    if not _READ:
        numbers = system_call_numbers()
        _READ.extend(entry for line in read_profile("syscalls.txt").splitlines() for entry in _read_line(line, numbers))
    return _READ


def _read_line(line: str, numbers: dict[str, int]) -> list[tuple[str, CallRule]]:
    text, _, reason = line.partition("|")
    if line.startswith("#") or not text.strip():
        return []
    if not reason.strip():
        raise ValueError(f"a rule without a reason: {line}")
    mode, colon, rest = text.partition(":")
    action_and_kind, *words = (rest if colon else text).split()
    action, _, kind = action_and_kind.partition("/")
    if action not in _ACTIONS:
        raise ValueError(f"no such action: {action}")
    conditions = tuple(_condition(word) for word in words if word[0].isdigit())
    names = (word for word in words if not word[0].isdigit())
    return [(mode if colon else "", CallRule(name, numbers[name], action, kind, conditions)) for name in names]


def _condition(word: str) -> Condition:
    argument, rest = word[:1], word[1:]
    operator = next((each for each in _OPERATORS if rest.startswith(each)), None)
    if operator is None or not rest[len(operator) :]:
        raise ValueError(f"not a condition: {word}")
    values = rest[len(operator) :]
    return Condition(
        int(argument), operator, tuple(each if each in {CHANNEL, START} else int(each, 0) for each in values.split(","))
    )
