"""No input makes the static stages raise, hang or recurse: small bytes, and programs made of dangerous pieces."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detection.rules import RULES
from tests.detection.screening import own_findings

NIGHTLY = 20_000
PIECES = (
    *("import os\n", "import base64, codecs, sys, json\n", "from functools import reduce\n", "class A:\n  x = 1\n"),
    *(
        "def f(a, *b, c='x'):\n  return a\n",
        "a = ",
        "a += 'x'\n",
        "f(a)",
        "A.x",
        "getattr(",
        "model",
        "'__sub'",
        "'%s'",
    ),
    *(
        "def evaluate_model(model):\n  ",
        "for a in 'ab':\n  ",
        "lambda a: ",
        "f'{a!r:>{a}}'",
        "{'a': a}",
        "[a for a in a if a]",
    ),
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".",
        ":",
        " ",
        "\n",
        "\n  ",
        " + ",
        " % ",
        " / ",
        " ^ ",
        "**",
        "[::-1]",
        "[0]",
    ),
    *("chr(", "map(", "zip(", "''.join(", ".translate(", ".format(", ".get('a')", "reduce(", "json.loads(", "int("),
    *(
        "base64.b64decode(b'YQ==')",
        "10 ** 9",
        "'a' * 9999999",
        "b'\\xff'",
        "None",
        "...",
        "*a",
        "**a",
        "a := a",
        "\\",
        "\0",
    ),
    *("match a:\n  case ", "try:\n  ", "except* ", "async ", "await ", "yield ", "@", "global a\n", "\u202e", "\uff45"),
)
programs = st.lists(st.sampled_from(PIECES), max_size=60).map(lambda parts: "".join(parts).encode()[:512])
inputs = st.one_of(
    programs, st.binary(max_size=512), st.text(max_size=128).map(lambda text: text.encode("utf-8", "surrogatepass"))
)


def check(source: bytes) -> None:
    assert {found.rule for found in own_findings(source)} <= set(RULES)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inputs)
def test_no_small_input_makes_the_stages_raise(source: bytes):
    check(source)


@pytest.mark.slow
@settings(max_examples=NIGHTLY, deadline=None, suppress_health_check=list(HealthCheck))
@given(inputs)
def test_no_small_input_makes_the_stages_raise_all_night(source: bytes):
    check(source)
