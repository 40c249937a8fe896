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


def read_call_rules(*, recorded: bool, listened: bool = True) -> dict[int, CallRule]:
    """The rules by number.

    `recorded` is whether opens for reading are to be seen too, `listened` whether anybody answers at all: where nobody
    does, `watch` passes, and a rule with conditions refuses what does not meet them.
    """
    modes = {"unrecorded": not recorded and listened, "unlistened": not listened}
    numbers = system_call_numbers()
    rules: dict[int, CallRule] = {}
    for line in read_profile("syscalls.txt").splitlines():
        text, _, reason = line.partition("|")
        if line.startswith("#") or not text.strip():
            continue
        if not reason.strip():
            raise ValueError(f"a rule without a reason: {line}")
        mode, colon, rest = text.strip().partition(":")
        if not colon:
            _read_line(text.strip(), numbers, rules, instead=False)
        elif modes[mode]:
            _read_line(rest, numbers, rules, instead=True)
    return rules


def _read_line(text: str, numbers: dict[str, int], rules: dict[int, CallRule], *, instead: bool) -> None:
    action_and_kind, *words = text.split()
    action, _, kind = action_and_kind.partition("/")
    if action not in _ACTIONS:
        raise ValueError(f"no such action: {action}")
    conditions = tuple(_condition(word) for word in words if word[0].isdigit())
    for name in (word for word in words if not word[0].isdigit()):
        number = numbers[name]
        if number in rules and not instead:
            raise ValueError(f"{name} is named twice")
        rules[number] = CallRule(name, number, action, kind, conditions)


def _condition(word: str) -> Condition:
    argument, rest = word[:1], word[1:]
    operator = next((each for each in _OPERATORS if rest.startswith(each)), None)
    if operator is None or not rest[len(operator) :]:
        raise ValueError(f"not a condition: {word}")
    values = rest[len(operator) :]
    return Condition(
        int(argument), operator, tuple(each if each in {CHANNEL, START} else int(each, 0) for each in values.split(","))
    )
