"""How a script ended decides the status, for every outcome that there is."""

import pytest

from domain.lifecycle import Status, is_terminal
from domain.outcomes import RunOutcome, status_after

OWN_STATUS = {
    RunOutcome.COMPLETED: Status.COMPLETED,
    RunOutcome.TIMED_OUT: Status.TIMED_OUT,
    RunOutcome.STOPPED: Status.STOPPED,
}


@pytest.mark.parametrize("outcome", list(RunOutcome))
def test_an_outcome_has_one_terminal_status(outcome: RunOutcome) -> None:
    assert status_after(outcome) is OWN_STATUS.get(outcome, Status.FAILED)
    assert is_terminal(status_after(outcome))
