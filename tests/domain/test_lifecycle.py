"""The lifecycle table: every pair of statuses, held against a second statement of design.md's table."""

import itertools

import pytest

from domain.lifecycle import DEADLINES, TERMINAL, TRANSITIONS, Status, is_terminal, may_become

ALLOWED = """
queued              -> pending_validation stopping error
pending_validation  -> validated awaiting_approval validation_failed stopping error
awaiting_approval   -> validated validation_failed stopping error
validated           -> executing stopping error
executing           -> completed failed timed_out stopping error
stopping            -> stopped error
"""
PAIRS = {
    (Status(before), Status(after))
    for line in ALLOWED.strip().splitlines()
    for before, afters in [[part.strip() for part in line.split("->")]]
    for after in afters.split()
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Status, Status)))
def test_a_status_follows_another_exactly_where_the_design_says_so(before: Status, after: Status) -> None:
    assert may_become(before, after) is ((before, after) in PAIRS)


def test_every_status_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Status)


def test_every_terminal_status_can_be_reached() -> None:
    reached = {Status.QUEUED}
    while more := {after for before in reached for after in TRANSITIONS[before]} - reached:
        reached |= more

    assert reached == set(Status)


def test_wherever_an_evaluation_has_not_ended_it_can_be_stopped_or_fail() -> None:
    for status in set(Status) - TERMINAL - {Status.STOPPING}:
        assert {Status.STOPPING, Status.ERROR} <= TRANSITIONS[status]


def test_whatever_waits_has_a_deadline() -> None:
    waiting = {Status.QUEUED, Status.AWAITING_APPROVAL, Status.VALIDATED, Status.STOPPING}

    assert set(DEADLINES) == waiting
    assert all(deadline.total_seconds() > 0 for deadline in DEADLINES.values())


def test_six_statuses_are_terminal() -> None:
    assert {status.value for status in Status if is_terminal(status)} == {
        "validation_failed",
        "completed",
        "failed",
        "timed_out",
        "stopped",
        "error",
    }
