"""What `--help` shows, for those who have never seen it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli.main import assembled


@pytest.mark.parametrize("group", ["", "environments", "keys", "admin"])
def test_no_line_of_the_list_of_commands_is_cut(group: str) -> None:
    shown = CliRunner().invoke(assembled([]), [*group.split(), "--help"], terminal_width=80).output

    commands = shown.partition("Commands:")[2].splitlines()
    assert commands
    assert not [line for line in commands if line.endswith("...")]
