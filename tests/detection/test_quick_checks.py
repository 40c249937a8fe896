from __future__ import annotations

import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.name_walk import MAX_DEPTH
from detection.quick_checks import quick_checks
from detection.source_text import MAX_SOURCE_BYTES
from domain.limits import MAX_SCRIPT_BYTES

MODULES = frozenset(sys.stdlib_module_names)
PIECES = [
    b"\0",
    b"\r",
    b"\x0c",
    b"\xef\xbb\xbf",
    b"# coding: utf-7\n",
    b"import os\n",
    b"(",
    b")",
    b"[",
    b"lambda:",
    b"-",
    b"exec",
    b"eval(x)",
    b"f'{",
    b"}'",
    b"\\\n",
    b"    ",
    b"\t",
    b"try:\n",
    b"except:\n",
    b"match x:\n",
    b"\xff",
    b"\xe2\x80\xae",
]


def rules(script: bytes) -> list[str]:
    return [found["rule"] for found in quick_checks(script, MODULES).findings]


@given(st.binary(max_size=512))
def test_arbitrary_bytes_never_raise(data: bytes):
    assert isinstance(quick_checks(data, MODULES).findings, list)


@given(st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join))
def test_pieces_of_programs_never_raise(data: bytes):
    assert isinstance(quick_checks(data, MODULES).findings, list)


@given(st.text(max_size=200))
def test_any_text_in_a_string_is_nobodys_business(text: str):
    assert set(rules(f"X = {text!a}".encode())) == set()


def test_scary_words_in_comments_and_docstrings_are_not_findings():
    script = b'"""exec(eval(__import__))"""\n# os.system, ctypes, __globals__\ndef f():\n    "__subclasses__"\n'

    assert rules(script) == []


def test_the_size_limit_is_the_domains():
    assert MAX_SOURCE_BYTES == MAX_SCRIPT_BYTES


@pytest.mark.parametrize(
    "script",
    [b"(" * 100_000, b"[" * 5_000 + b"]" * 5_000, b"a" + b".b" * 20_000, b"1" + b"+1" * 20_000, b"-" * 50_000 + b"1"],
    ids=["parentheses", "lists", "attributes", "sums", "minuses"],
)
def test_deep_nesting_is_refused_and_never_raises(script: bytes):
    assert set(rules(script)) & {"syntax_error", "too_deep", "too_costly"}


def test_depth_is_capped_below_what_the_parser_takes():
    deep = b"x = " + b"[" * 90 + b"]" * 90
    chain = b"if a: pass\n" + b"elif a: pass\n" * (MAX_DEPTH + 10)

    assert rules(deep) == []
    assert rules(chain) == ["too_deep"]


def test_a_syntax_error_has_its_place():
    (found,) = quick_checks(b"x = 1\ny = = 2\n", MODULES).findings

    assert (found["rule"], found["line"], found["column"]) == ("syntax_error", 2, 5)


def test_a_utf8_byte_order_mark_is_welcome():
    assert rules(b"\xef\xbb\xbfx = 1") == []


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-16-le"])
def test_other_encodings_are_refused(codec: str):
    assert set(rules("x = 1".encode(codec))) & {"nul_byte", "not_utf8"}


def test_a_byte_order_mark_with_another_cookie_is_refused():
    assert rules(b"\xef\xbb\xbf# coding: latin-1\nx = 1") == ["encoding_cookie"]


def test_an_invalid_escape_is_a_bad_habit_and_not_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert rules(rb"import re" + b"\n" + rb"x = re.compile('\d+')") == []


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        (b"import numpy, json", ["numpy"]),
        (b"def f():\n    from sklearn.metrics import f1_score", ["sklearn"]),
        (b"try:\n    import numpy\nexcept (ImportError, OSError):\n    pass", []),
        (b"try:\n    import numpy\nexcept ValueError:\n    pass", ["numpy"]),
        (b"try:\n    import tomllib\nexcept ImportError:\n    import tomli", []),
        (b"try:\n    import orjson\nexcept ImportError:\n    import ujson", ["ujson"]),
        (b"from contextlib import suppress\nwith suppress(ImportError):\n    import numpy", []),
        (b"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy", []),
        (b"import airlock_runtime\nfrom __future__ import annotations", []),
        (b"def evaluate_model(model): 1\nif __name__ == '__main__':\n    import openai", []),
        (b"if __name__ == '__main__':\n    import openai", ["openai"]),
    ],
)
def test_a_missing_module_counts_where_nothing_catches_its_absence(script: bytes, missing: list[str]):
    assert quick_checks(script, MODULES).missing_modules == missing


@pytest.mark.parametrize(
    ("script", "defined"),
    [
        (b"def evaluate_model(model): pass", True),
        (b"async def evaluate_model(model): pass", True),
        (b"evaluate_model = print", True),
        (b"def other(): pass", False),
    ],
)
def test_the_entry_point_is_found(script: bytes, defined: bool):
    assert quick_checks(script, MODULES).defines_evaluate_model is defined


@pytest.mark.parametrize(
    "script",
    [
        b"def f(eval):\n    eval(1)",
        b"def f():\n    eval = len\n    return [eval(x) for x in y]",
        b"x = [eval(y) for eval in z]",
        b"g = lambda eval: eval(1)",
        b"for eval in evals:\n    eval.run()",
        b"import re\nre.compile('a')\nmodel.eval()",
        b"from re import compile\ncompile('a')",
    ],
)
def test_the_word_eval_is_free_where_it_cannot_be_the_builtin(script: bytes):
    assert rules(script) == []


@pytest.mark.parametrize(
    "script",
    [
        b"def f():\n    global eval\n    eval = len\neval(1)",
        b"def f(run=eval):\n    run(1)",
        b"@eval\ndef f(eval): pass",
        b"def f():\n    eval = 1\neval(2)",
        b"class A:\n    x = eval",
        b"x = [y for y in eval(z)]",
        b"x = f'{eval(1)}'",
        b"if 0:\n    eval = print\neval(1)",
    ],
)
def test_the_builtin_is_found_wherever_it_may_be_meant(script: bytes):
    assert "dynamic_code" in rules(script)


def test_evidence_is_printable_and_bounded():
    script = ("import " + "é" * 3000).encode()

    (found,) = quick_checks(script, MODULES).findings

    assert found["evidence"].isascii()
    assert len(found["evidence"]) <= 120
