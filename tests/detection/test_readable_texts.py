from __future__ import annotations

import ast

from detection.readable_texts import without_texts
from detection.script_analysis import Script, acceptable

SOURCE = """
a = "a long text, \u00e9 really"; b = '''two
lines of text'''; c = f"x {a} and y, both of them"
d = "os.environ.items"
"""


def test_texts_are_emptied_on_their_own_lines_and_names_stay():
    script = acceptable(SOURCE.encode())
    assert isinstance(script, Script)

    emptied = without_texts(script).decode()

    assert emptied == '\na = ""; b = ""; c = f"x {a} and y, both of them"\n\nd = "os.environ.items"\n'
    assert len(emptied.splitlines()) == len(SOURCE.splitlines())
    assert isinstance(ast.parse(emptied), ast.Module)
