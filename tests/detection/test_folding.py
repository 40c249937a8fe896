from __future__ import annotations

import ast

import pytest

from detection.imports import Imports
from detection.resolving import Resolver


def folded(expression: str, before: str = "") -> object:
    tree = ast.parse(f"import base64, codecs, zlib, binascii, os\n{before}\nresult = {expression}")
    nodes = list(ast.walk(tree))
    resolver = Resolver(nodes, Imports.of(nodes).aliases())
    last = tree.body[-1]
    assert isinstance(last, ast.Assign)
    return resolver.folder.fold(last.value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'ex' + 'ec'", "exec"),
        ("'%s%s' % ('ex', 'ec')", "exec"),
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


def test_names_that_are_assigned_once_are_followed():
    assert folded("a + b", "a = 'ex'\nb = a[:0] + 'ec'") == "exec"


@pytest.mark.parametrize(
    ("expression", "before"),
    [
        ("a + 'ec'", "a = 'ex'\na = 'no'"),
        ("a", "a = a + 'x'"),
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
