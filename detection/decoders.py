"""The pure functions that constant folding may use, each with bounded output. Standard library only."""

from __future__ import annotations

import ast
import base64
import binascii
import bz2
import codecs
import html
import json
import lzma
import operator
import posixpath
import quopri
import string
import textwrap
import unicodedata
import zlib
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import unquote, unquote_plus

MAX_TEXT = 1 << 20
"""Characters or bytes of one folded value. A bomb that decodes to more is left alone."""
MAX_LITERAL = 4096
"""Of a text that is read as a literal: deeper ones than this can hold would recurse."""
REDUCERS = frozenset({"functools.reduce", "_functools.reduce"})
_CODECS = frozenset({"utf-8", "utf8", "ascii", "latin-1", "latin1", "iso-8859-1", "rot13", "rot_13", "hex", "base64"})


class DecodeRefused(Exception):
    """The value is too large, or not what it claims to be."""


def decode(data: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """As `codecs.decode`, with the codecs that read text. Raises DecodeRefused for others."""
    if encoding.lower().replace("_codec", "").replace("_", "-") not in _CODECS | {"rot-13"} or errors not in _ERRORS:
        raise DecodeRefused
    return codecs.decode(data, encoding, errors)


def encode(text: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """As `codecs.encode`, with the same codecs."""
    if encoding.lower() not in _CODECS or errors not in _ERRORS:
        raise DecodeRefused
    return codecs.encode(text, encoding, errors)


_ERRORS = frozenset({"strict", "ignore", "replace"})


def _inflate(data: bytes, wbits: int = zlib.MAX_WBITS) -> bytes:
    if not -15 <= wbits <= 47:
        raise DecodeRefused
    return _capped(zlib.decompressobj(wbits), data)


def _gunzip(data: bytes) -> bytes:
    return _inflate(data, 31)


def _bunzip(data: bytes) -> bytes:
    return _capped(bz2.BZ2Decompressor(), data)


def _unxz(data: bytes) -> bytes:
    return _capped(lzma.LZMADecompressor(memlimit=64 << 20), data)


def _capped(decompressor: Any, data: bytes) -> bytes:
    try:
        out: bytes = decompressor.decompress(data, MAX_TEXT)
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        raise DecodeRefused from error
    if not decompressor.eof:
        raise DecodeRefused
    return out


def _text(value: Any = "", codec: str | None = None, errors: str = "strict") -> Any:
    return str(value) if codec is None else decode(value, codec, errors)


def _bytes(value: Any = b"", codec: str = "utf-8") -> bytes:
    if isinstance(value, int):
        raise DecodeRefused  # bytes(10**9)
    return value.encode(codec) if isinstance(value, str) else bytes(value)


def _range(*bounds: int) -> tuple[int, ...]:
    numbers = range(*bounds)
    if len(numbers) > 10_000:
        raise DecodeRefused
    return tuple(numbers)


def _reversed(items: Any) -> tuple[Any, ...]:
    return tuple(items)[::-1]


def _sorted(items: Any) -> tuple[Any, ...]:
    return tuple(sorted(items))


def _join_path(*parts: str) -> str:
    return "/".join(part.rstrip("/") for part in parts) or parts[0][:1]


def _home() -> str:
    return "~"


def _here() -> str:
    return "."


def _temporary() -> str:
    return "/tmp"  # noqa: S108 - it is what a script would be told


def _variable(name: Any, _: Any = None) -> str:
    if name in {"HOME", "USERPROFILE"}:
        return "~"
    raise DecodeRefused


def _reduced_path(path: Any) -> str:
    return posixpath.normpath(path)


def _join(by: Any, items: Any) -> Any:
    return by.join(items)


def _dict(pairs: Any = (), **named: Any) -> dict[Any, Any]:
    return dict(pairs, **named)


def _enumerate(items: Any, start: int = 0) -> tuple[Any, ...]:
    return tuple(zip(range(start, start + len(items)), items, strict=True))


def _xor(one: Any, two: Any) -> Any:
    return one ^ two


def _zip(*columns: Any) -> tuple[Any, ...]:
    return tuple(zip(*columns, strict=False))


def _from_json(text: Any) -> Any:
    if len(text) > MAX_LITERAL:
        raise DecodeRefused
    return _frozen(json.loads(text))


def _literal(text: Any) -> Any:
    if len(text) > MAX_LITERAL:
        raise DecodeRefused
    return _frozen(ast.literal_eval(text))


def _frozen(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


CONSTANTS: Mapping[str, str] = {
    "os.sep": "/",
    "os.path.sep": "/",
    "os.linesep": "\n",
    "os.curdir": ".",
    "os.pardir": "..",
    "os.devnull": "/dev/null",
    **{f"string.{name}": getattr(string, name) for name in ("ascii_letters", "ascii_lowercase", "ascii_uppercase")},
    **{f"string.{name}": getattr(string, name) for name in ("digits", "punctuation", "printable", "whitespace")},
}
"""What some attributes of the standard library are."""

DECODERS: Mapping[str, Callable[..., Any]] = {
    "base64.b64decode": base64.b64decode,
    "base64.standard_b64decode": base64.b64decode,
    "base64.urlsafe_b64decode": base64.urlsafe_b64decode,
    "base64.decodebytes": base64.decodebytes,
    "base64.b32decode": base64.b32decode,
    "base64.b16decode": base64.b16decode,
    "base64.b85decode": base64.b85decode,
    "base64.a85decode": base64.a85decode,
    "binascii.a2b_base64": binascii.a2b_base64,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_hex": binascii.unhexlify,
    "bytes.fromhex": bytes.fromhex,
    "builtins.bytes.fromhex": bytes.fromhex,
    "builtins.bytearray.fromhex": bytes.fromhex,
    "codecs.decode": decode,
    "zlib.decompress": _inflate,
    "gzip.decompress": _gunzip,
    "bz2.decompress": _bunzip,
    "lzma.decompress": _unxz,
}
"""Functions that turn something unreadable into something readable."""

PURE_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "builtins.chr": chr,
    "builtins.ord": ord,
    "builtins.str": _text,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.int": int,
    "builtins.hex": hex,
    "builtins.len": len,
    "builtins.reversed": _reversed,
    "builtins.list": tuple,
    "builtins.tuple": tuple,
    "builtins.sorted": _sorted,
    "builtins.range": _range,
    "builtins.bytes.decode": decode,
    "builtins.str.encode": encode,
    "builtins.str.join": _join,
    "builtins.str.lower": str.lower,
    "builtins.str.maketrans": str.maketrans,
    "builtins.dict": _dict,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.sum": sum,
    "builtins.abs": abs,
    "builtins.iter": tuple,
    "operator.add": operator.add,
    "operator.concat": operator.add,
    "operator.xor": _xor,
    "operator.sub": operator.sub,
    "unicodedata.normalize": unicodedata.normalize,
    "urllib.parse.unquote": unquote,
    "urllib.parse.unquote_plus": unquote_plus,
    "html.unescape": html.unescape,
    "quopri.decodestring": quopri.decodestring,
    "binascii.a2b_qp": binascii.a2b_qp,
    "json.loads": _from_json,
    "ast.literal_eval": _literal,
    "textwrap.dedent": textwrap.dedent,
    "codecs.encode": encode,
    "os.path.join": _join_path,
    "os.path.expanduser": str,
    "os.path.abspath": str,
    "os.path.realpath": str,
    "os.path.normpath": _reduced_path,
    "os.fspath": str,
    "os.getenv": _variable,
    "os.environ.get": _variable,
    "os.getcwd": _here,
    "pathlib.Path.cwd": _here,
    "pathlib.Path.home": _home,
    "tempfile.gettempdir": _temporary,
    "pathlib.Path": _join_path,
    "pathlib.PurePath": _join_path,
    "pathlib.PosixPath": _join_path,
    "pathlib.PurePosixPath": _join_path,
}
