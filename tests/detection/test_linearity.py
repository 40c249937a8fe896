"""What the static stages do grows with a script no faster than the script: counted in calls, not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.detection.screening import own_findings
from tests.slices import slice_of

SMALL, LARGE = 100, 400
SHAPES: dict[str, Callable[[int], str]] = {
    "functions": lambda i: f"def f{i}(a, b=1):\n    c = a + b\n    return c * {i}\n",
    "rows": lambda i: f"x{i} = [('question {i}', 'answer {i}', {i}, 1.5), {{'n': {i}}}]\n",
    "deep expressions": lambda i: f"x = {'(' * 40}{i}{'+1)' * 40}\n",
    "sums of texts": lambda i: f"x{i} = {' + '.join(repr(f'abc{j}') for j in range(40))}\n",
    "one name": lambda i: f"x = g(x, {i})\n",
    "nested calls": lambda i: f"x = {'f(' * 40}{i}{')' * 40}\n",
    "aliases": lambda i: f"m{i} = m{i + 1}\n",
    "branches": lambda i: f"if a == {i}:\n    b = 'x' + str(a)\nelif a > {i}:\n    b = c[{i}]\n",
    "paths": lambda i: f"import os\np{i} = os.path.join(p, 'a', 'b' + str({i}))\nopen(p{i})\n",
    "attributes": lambda _: f"x.{'.'.join(f'a{j}' for j in range(40))}()\n",
    "parameters called eval": lambda i: f"def f{i}(eval):\n    return eval({i})\n",
    "classes": lambda i: (
        f"class C{i}(B):\n    a = {i}\n    def f(self, x):\n        self.x = x\n        return self.x\n"
    ),
    "subclasses": lambda i: f"class A{i}:\n    pass\nA{i}.__subclasses__()\n",
    "optional modules": lambda i: f"try:\n    import a{i}\nexcept ImportError:\n    import b{i}\n",
    "one name opened": lambda _: "p = f(p)\nopen(p)\n",
    "one name compared": lambda i: f"x = y{i} == x\n",
    "two names in a circle": lambda _: "a = b\nb = a\nopen(a)\n",
    "names in a circle": lambda i: f"n{i} = n{(i + 1) % 50} or 'x{i}'\nopen(n{i})\n",
    "methods": lambda i: f"x{i} = y.strip().lower().replace('a', 'b{i}').split()\n",
}


def calls(script: str) -> int:
    """How many calls it takes to find everything in a script."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event.endswith("call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        own_findings(script.encode())
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("shape", slice_of(SHAPES, every=4))
def test_four_times_the_script_takes_about_four_times_the_calls(shape: str):
    unit = SHAPES[shape]

    small, large = (calls("".join(map(unit, range(size)))) for size in (SMALL, LARGE))

    assert large <= 4.6 * small
