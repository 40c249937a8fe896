from __future__ import annotations

import ast

import pytest

from detection.imports import Imports
from detection.resolving import Resolver
from detection.syntax_tree import all_nodes


def folded(expression: str, before: str = "") -> object:
    tree = ast.parse(f"import base64, codecs, zlib, binascii, os\n{before}\nresult = {expression}")
    nodes = all_nodes(tree)
    resolver = Resolver(nodes, Imports.of(nodes))
    last = tree.body[-1]
    assert isinstance(last, ast.Assign)
    return resolver.folder.fold(last.value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'ex' + 'ec'", "exec"),
        ("'%s%s' % ('ex', 'ec')", "exec"),
        ("'%(a)s%%' % {'a': 'x'}", "x%"),
        ("'%02x' % 10", "0a"),
        ("'{}{}'.format('ex', 'ec')", "exec"),
        ("f\"{'ex'}{'ec'}\"", "exec"),
        ("''.join(['e', 'x', 'e', 'c'])", "exec"),
        ("''.join(map(chr, [101, 120, 101, 99]))", "exec"),
        ("''.join(chr(c ^ 1) for c in [100, 121, 100, 98])", "exec"),
        ("''.join(reversed('cexe'))", "exec"),
        ("'cexe'[::-1]", "exec"),
        ("'xexecx'[1:5]", "exec"),
        ("bytes([101, 120, 101, 99]).decode()", "exec"),
        ("bytes.fromhex('65786563').decode('ascii')", "exec"),
        ("base64.b64decode('ZXhlYw==').decode()", "exec"),
        ("codecs.decode('rkrp', 'rot13')", "exec"),
        ("binascii.unhexlify('65786563').decode()", "exec"),
        ("'EXEC'.lower()", "exec"),
        ("'exZec'.replace('Z', '')", "exec"),
        ("os.path.join('/etc', 'shadow')", "/etc/shadow"),
        ("['a', 'b'][1] * 2", "bb"),
    ],
)
def test_text_put_together_from_pieces_is_known(expression: str, value: str):
    assert folded(expression) == value


@pytest.mark.parametrize(
    ("expression", "before"),
    [
        ("a + b", "a = 'ex'\nb = a[:0] + 'ec'"),
        ("a", "a = 'e'\na += 'xe'\na += 'c'"),
        ("a", "a = 'no'\na = 'exec'"),
        ("A.first + A.last", "class A:\n    first = 'ex'\n    last = 'ec'"),
        ("d['a'] + d.get('b')", "d = {'a': 'ex', 'b': 'ec'}"),
        ("f('cexe')", "f = lambda text: text[::-1]"),
        ("f('ex')", "def f(a, b='ec'):\n    return a + b"),
        (
            "f([1, 28, 1, 7])",
            "def f(codes):\n    out = ''\n    for c in codes:\n        out += chr(c ^ 100)\n    return out",
        ),
        ("f('ex', 'ec')", "def f(*parts):\n    return ''.join(parts)"),
        ("'{a}{b}'.format(a='ex', b='ec')", ""),
        ("'%(a)sec' % {'a': 'ex'}", ""),
        ("f'{101:c}xec'", ""),
        ("'..ex..ec'.translate({46: None})", ""),
        ("''.join(c for c in 'e-x-e-c' if c != '-')", ""),
        ("''.join(a + b for a, b in zip('ee', 'xc'))", ""),
        ("(0x65786563).to_bytes(4, 'big').decode()", ""),
        ("reduce(lambda a, b: a + b, ['e', 'x', 'e', 'c'])", "from functools import reduce"),
        ("unicodedata.normalize('NFKC', '\uff45xec')", "import unicodedata"),
        ("unquote('%65xec')", "from urllib.parse import unquote"),
        ("json.loads('\"\\\\u0065xec\"')", "import json"),
        ("bytes.decode(b'exec')", ""),
        ("str.join('', ('ex', 'ec'))", ""),
        ("'ex'.__add__('ec')", ""),
        ("b'exec'.decode(encoding='ascii')", ""),
        ("('no' if 1 == 2 else 'exec')", ""),
    ],
)
def test_detours_of_text_are_followed(expression: str, before: str):
    assert folded(expression, before) == "exec"


@pytest.mark.parametrize(
    ("expression", "before"),
    [
        ("a", "a = a + 'x'"),
        ("a + 'ec'", "for a in ['ex', 'no']:\n    pass"),
        ("f('ex')", "def f(a):\n    while True:\n        a += a"),
        ("f('ex')", "def f(a):\n    return f(a) + a"),
        (
            "f(9)",
            "def f(n):\n    for a in range(9000):\n        for b in range(9000):\n            n += 1\n    return n",
        ),
        ("f'{1:9999999999}'", ""),
        ("'{:>9999999999}'.format('x')", ""),
        ("(1).to_bytes(10 ** 9, 'big')", ""),
        ("'a' * 10 ** 9", ""),
        ("'x' * 2_000_000", ""),
        ("'%1000000000d' % 1", ""),
        ("'{:1000000000}'.format(1)", ""),
        ("bytes(10 ** 9)", ""),
        ("range(10 ** 9)", ""),
        ("1 // 0", ""),
        ("zlib.decompress(b'no')", ""),
        ("unknown('x')", ""),
        ("(1).__class__", ""),
    ],
)
def test_what_only_a_run_would_tell_is_unknown(expression: str, before: str):
    assert folded(expression, before) is None


@pytest.mark.parametrize(
    "template", ["%999999999s", "%-999999999s", "%(a)-999999999s", "%.999999999f", "%*d", "%0999999999d"]
)
def test_no_template_makes_text_of_any_size(template: str):
    assert folded(f"{template!r} % 1") is None
