"""Where the arguments of a call arrive: the parameters of all functions of one name. Standard library only."""

from __future__ import annotations

import ast


class Parameters:
    """The parameters of all functions of one name, by position."""

    def __init__(self) -> None:
        self._positions: list[dict[str, None]] = []
        self._rest: dict[str, None] = {}
        self._named: dict[str, None] = {}

    def add(self, arguments: ast.arguments, skipped: int = 0) -> None:
        """One more function of that name, whose first parameter may be its instance."""
        positional = [*arguments.posonlyargs, *arguments.args]
        for number, argument in enumerate(positional[skipped:]):
            if number == len(self._positions):
                self._positions.append({})
            self._positions[number][argument.arg] = None
        for argument in (*positional, *arguments.kwonlyargs):
            self._named[argument.arg] = None
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                self._rest[rest.arg] = None

    def at(self, number: int) -> tuple[str, ...]:
        """Where a positional argument arrives."""
        here = self._positions[number] if number < len(self._positions) else {}
        return (*here, *self._rest)

    def named(self, name: str | None) -> tuple[str, ...]:
        """Where a keyword argument arrives; None: any of them."""
        if name is None:
            return self.every()
        return (name,) if name in self._named else tuple(self._rest)

    def every(self) -> tuple[str, ...]:
        """All of them: where the arguments of `f(*values, **values)` may arrive."""
        return (*self._named, *self._rest)
