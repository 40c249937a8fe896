from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.exhaustion_rules import HUGE
from detection.script_analysis import Script, acceptable, own_notes
from domain.limits import BOUNDS

WORDS = [
    "os",
    "sys",
    "m",
    "getattr",
    "builtins",
    "'ex'",
    "'ec'",
    "''",
    "'.'",
    "1",
    "[",
    "]",
    "(",
    ")",
    "+",
    "%",
    ".",
    ",",
]
MORE_WORDS = [
    ".join",
    ".decode()",
    "chr",
    "map",
    "lambda x:",
    "x",
    "=",
    "\n",
    "[::-1]",
    "base64.b64decode",
    "b'ZXhlYw=='",
    "/",
]
STATEMENTS = [
    "import os\n",
    "import base64, builtins, sys\n",
    "for m in",
    ":",
    " ",
    "f'{x}'",
    "sys.modules",
    ".__dict__",
    "if 1 else",
]


def rules(script: str) -> set[str]:
    accepted = acceptable(script.encode())
    assert isinstance(accepted, Script)
    return {found["rule"] for found in own_notes(accepted)}


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*WORDS, *MORE_WORDS, *STATEMENTS]), max_size=25).map("".join))
def test_no_program_makes_the_rules_raise(script: str):
    accepted = acceptable(script.encode())

    assert not isinstance(accepted, Script) or isinstance(own_notes(accepted), list)


@pytest.mark.parametrize(
    "script",
    [
        "import os\nd = {'a': os}\nd['a'].popen('true')",
        "import os\ndef f(m):\n    m.popen('true')\nf(os)",
        "import os\nclass A:\n    m = os\nA.m.popen('true')",
        "import os\nclass A:\n  def f(self):\n    self.m = os\n  def g(self):\n    self.m.popen('true')",
        "import os\nfor m in [os]:\n    m.popen('true')",
        "import os\nmatch os:\n    case m:\n        m.popen('true')",
        "import os\n(m := os).popen('true')",
        "import os\nm, n = os, 1\nm.popen('true')",
        "import os\ndef f(m=os):\n    m.popen('true')",
        "m = __import__('os')\nm.popen('true')",
        "import os\nvars(os)['popen']('true')",
        "import os\nos.__dict__.get('popen')('true')",
        "import os\nos.__getattribute__('popen')('true')",
        "from operator import methodcaller\nimport os\nmethodcaller('popen', 'true')(os)",
        "from operator import attrgetter\nimport os\nattrgetter('popen')(os)('true')",
        "import sys\nm = sys.modules.get('os')\nm.popen('true')",
    ],
)
def test_a_module_is_followed_wherever_it_goes(script: str):
    assert rules(script) & {"hidden_process", "hidden_introspection"}


@pytest.mark.parametrize(
    "script",
    [
        "import platform\nm = platform\nm.system()",
        "import os\nprint(os)\nmodel.eval()\nrunner.run()",
        "import os\nfrom unittest import mock\nmock.patch.object(os, 'environ', {})\nchat.system('You are kind.')",
        "import os\nm = os.path\nm.join('a', 'b')",
        "import re\nm = re\nm.compile('a')",
    ],
)
def test_honest_names_that_look_alike_are_left_alone(script: str):
    assert rules(script) <= {"capabilities"}


def test_a_huge_value_does_not_fit_the_memory_that_a_run_has_by_default():
    default = BOUNDS["memory_bytes"].default

    assert default < HUGE
    assert "huge_value" not in rules(f"x = bytearray({default})")
    assert "huge_value" in rules(f"x = bytearray({HUGE})")
