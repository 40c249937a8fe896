from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from cli.terminal import clean, table, untrusted


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;another title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\a link\x1b]8;;\x1b\\", "a link"),
        ("\x1b]52;c;bWFsaWNl\x07pasted", "pasted"),
        ("\x1bP+q544e\x1b\\device", "device"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9ctext", "text"),
        ("half a sequence \x1b[3", "half a sequence "),
        ("an open string \x1b]0;never ended", "an open string "),
        ("over\rwritten", "over\\rwritten"),
        ("back\x08space\x07", "back\\x08space\\x07"),
        ("right\u202eleft", "right\\u202eleft"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("a half \ud800 pair", "a half \\ud800 pair"),
        ("lines\r\nand\ttabs\n", "lines\nand\ttabs\n"),
        ("größer 数字 🙂", "größer 数字 🙂"),
    ],
)
def test_untrusted_text_loses_its_power_over_the_terminal(written: str, shown: str) -> None:
    assert clean(written) == shown


def test_untrusted_text_is_never_read_as_markup() -> None:
    out = io.StringIO()

    Console(file=out, force_terminal=False, width=80).print(table(("name",), [["[bold]x[/bold] [link=evil]y[/link]"]]))

    assert "[bold]x[/bold] [link=evil]y[/link]" in out.getvalue()


def test_no_escape_survives_in_json() -> None:
    assert "\x1b" not in json.dumps({"text": "\x1b[31m\u202e"}, ensure_ascii=True)
    assert untrusted("\x1b[31mred").plain == "red"
