"""A path is noted as what it leads to: a script's own links hide nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.controls.led_path import UNREADABLE, led_to


def nowhere(_: str) -> str:
    return ""


def led(path: Path | str, own: Path, *, whole: bool = True) -> str:
    named = os.fsencode(path).decode("utf-8", "surrogateescape")
    return led_to(named, (f"{own}/",), nowhere, whole=whole)


def test_a_link_is_followed_from_where_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "link").symlink_to("../../../secret")
    inside = led(tmp_path / "a" / "b" / "link", tmp_path / "a")

    (tmp_path / "a" / "b" / "link").rename(tmp_path / "a" / "link")

    assert inside == str(tmp_path.parent / "secret")
    assert led(tmp_path / "a" / "link", tmp_path / "a") == str(tmp_path.parent.parent / "secret")


def test_what_is_above_a_link_is_above_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / "deeper" / "link").symlink_to(tmp_path)

    assert led(f"{tmp_path}/deep/deeper/link/../x", tmp_path) == str(tmp_path.parent / "x")


def test_one_link_leads_to_the_next(tmp_path: Path) -> None:
    for at in range(5):
        (tmp_path / f"link{at}").symlink_to(f"link{at + 1}")
    (tmp_path / "link5").symlink_to("/etc")

    assert led(tmp_path / "link0" / "shadow", tmp_path) == "/etc/shadow"


def test_a_call_about_a_link_is_about_the_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")

    assert led(tmp_path / "link", tmp_path, whole=False) == str(tmp_path / "link")
    assert led(tmp_path / "link" / "passwd", tmp_path, whole=False) == "/etc/passwd"


def test_a_link_behind_a_name_that_is_no_text_is_followed(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.mkdir()
    (odd / "link").symlink_to(os.fsdecode(b"/elsewhere/\xfe"))

    assert led(odd / "link", tmp_path) == "/elsewhere/\ufffd"


def test_links_of_the_machine_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "link").symlink_to("/etc")

    assert led(tmp_path / "link" / "x", tmp_path / "own") == str(tmp_path / "link" / "x")


def test_a_link_to_itself_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")

    assert led(tmp_path / "link", tmp_path) == str(tmp_path / "link")


@pytest.mark.parametrize("path", ["x/" * 1000, "link/" * 1000])
def test_a_path_of_too_many_parts_is_none_of_its_own(path: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(".")

    assert led(f"{tmp_path}/{path}", tmp_path) == UNREADABLE


@pytest.mark.parametrize(("path", "plain"), [("//etc//x/", "/etc/x"), ("/usr/./lib/../x", "/usr/x"), ("/../..", "/")])
def test_a_path_without_links_is_made_plain(path: str, plain: str, tmp_path: Path) -> None:
    assert led(path, tmp_path) == plain
