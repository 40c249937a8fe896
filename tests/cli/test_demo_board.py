from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli.demo_board import Row, board
from cli.examples import load_examples
from domain.lifecycle import Stage, Status


def at_the_end() -> list[Row]:
    rows = [Row(example) for example in load_examples()]
    for row in rows:
        for stage in Stage:
            row.saw(Status.EXECUTING, stage)
        row.saw(row.example.status, Stage.POD_EXECUTION)
        row.cause = row.example.cause
    return rows


def drawn(rows: list[Row], width: int) -> str:
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=width).print(board(rows))
    return out.getvalue()


def test_eighty_columns_hold_every_word_of_the_board() -> None:
    rows = at_the_end()

    shown = drawn(rows, 80)

    assert "…" not in shown
    assert all(row.example.file.removesuffix(".py") in shown for row in rows)
    assert all(row.example.status in shown for row in rows)


@pytest.mark.parametrize("width", [1, 20, 40])
def test_a_narrow_terminal_breaks_nothing(width: int) -> None:
    assert drawn(at_the_end(), width)


def test_a_row_is_as_expected_only_with_its_cause() -> None:
    row = next(row for row in at_the_end() if row.example.cause)
    assert row.as_expected

    row.cause = None

    assert not row.as_expected


def test_those_who_see_no_board_are_told_where_each_is() -> None:
    row = Row(load_examples()[0])

    row.saw(Status.PENDING_VALIDATION, Stage.SANDBOX_TRIAL)
    on_its_way = row.where
    row.saw(Status.COMPLETED, Stage.POD_EXECUTION)

    assert on_its_way == "score_model: pending_validation, sandbox_trial"
    assert row.where == "score_model: completed"
