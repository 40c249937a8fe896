"""What the exit code of `airlock` tells a script."""

from __future__ import annotations

from enum import IntEnum

from domain.lifecycle import Status


class ExitCode(IntEnum):
    """One meaning each; a number keeps its meaning for good."""

    OK = 0
    """Done. Where the end of an evaluation was waited for: it completed."""
    NOT_COMPLETED = 1
    """The evaluation ended in another way: refused by the review, failed, timed out, stopped."""
    USAGE = 2
    """The command line cannot be understood."""
    REFUSED = 3
    """The server refuses what was asked: it is malformed, not allowed, or in conflict with what is."""
    NOT_FOUND = 4
    """There is no such evaluation, key or environment here."""
    UNAVAILABLE = 5
    """The server, Temporal, the database or a sandbox is away: nothing was done, and trying again may help."""
    PLATFORM = 6
    """The platform could not finish the evaluation."""
    WAITING = 7
    """The evaluation waits for a person's approval."""
    BREACHED = 8
    """A hostile script got through a sandbox of this machine."""


def exit_code_of(status: Status) -> ExitCode:
    """What to exit with after an evaluation was followed until `status`."""
    match status:
        case Status.COMPLETED:
            return ExitCode.OK
        case Status.ERROR:
            return ExitCode.PLATFORM
        case Status.AWAITING_APPROVAL:
            return ExitCode.WAITING
        case _:
            return ExitCode.NOT_COMPLETED
