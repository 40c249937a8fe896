"""What is wrapped is unwrapped again, in whatever order, and never without bounds."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Callable

import pytest

from detection.behaviour.decoys import DecoySearch
from detection.behaviour.wrappings import unwrapped
from domain.decoys import decoys_for

SCRIPT = b"def evaluate_model(model): return 1"
SECRET = decoys_for(SCRIPT).secrets[0]
PLAIN = f"key={SECRET};".encode()


def bits(data: bytes) -> str:
    return " ".join(f"{each:08b}" for each in data)


def text(encode: Callable[[bytes], bytes]) -> Callable[[bytes], str]:
    return lambda data: encode(data).decode("ascii")


def as_bytes(code: Callable[[bytes], str]) -> Callable[[bytes], bytes]:
    return lambda data: code(data).encode()


CODES = [text(base64.b64encode), text(base64.urlsafe_b64encode), text(base64.b85encode), bytes.hex, bits]


@pytest.mark.parametrize("outer", CODES)
@pytest.mark.parametrize("inner", [*map(as_bytes, CODES), zlib.compress, gzip.compress])
def test_a_decoy_is_found_in_two_layers(outer: Callable[[bytes], str], inner: Callable[[bytes], bytes]) -> None:
    assert DecoySearch(decoys_for(SCRIPT)).found_in("the result", f'{{"x": "{outer(inner(PLAIN))}"}}')


@pytest.mark.parametrize("mask", [1, 0x5A, 0xFF])
def test_a_decoy_is_found_behind_a_mask(mask: int) -> None:
    masked = bytes(each ^ mask for each in PLAIN)

    assert DecoySearch(decoys_for(SCRIPT)).found_in("the result", base64.b64encode(masked).decode())


def test_a_decoy_is_found_in_utf_16() -> None:
    assert DecoySearch(decoys_for(SCRIPT)).found_in("the result", PLAIN.decode().encode("utf-16").hex())


@pytest.mark.parametrize("data", [b"score " * 500, zlib.compress(b"score " * 5000), bytes(range(256)) * 40])
def test_other_data_is_no_decoy(data: bytes) -> None:
    assert not DecoySearch(decoys_for(SCRIPT)).found_in("the result", base64.b64encode(data).decode())


def test_what_is_unwrapped_is_bounded() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(64 << 20), 9)).decode()

    assert sum(map(len, unwrapped(f"{bomb} {bomb}"))) <= 1 << 19
    assert sum(map(len, unwrapped("QUFB" * (1 << 20)))) <= 1 << 19


def test_a_word_is_not_unwrapped() -> None:
    assert list(unwrapped("a plain answer of some words, 0101 among them")) == []
