"""Whoever runs a script can reach its interpreter, wherever the checkout lies."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cli.places import make_place, place_for_runs


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    directory = tmp_path / "closed"
    directory.mkdir(mode=0o700)
    return directory


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)


def test_root_below_a_closed_directory_gets_an_open_place_of_its_own(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 0)

    one, other = (place_for_runs(closed / name / ".airlock", Path("/open")) for name in ("a", "b"))

    assert one.parent == other.parent == Path("/open")
    assert one != other


def test_root_below_open_directories_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)

    assert place_for_runs(Path("/usr/share/x/.airlock")) == Path("/usr/share/x/.airlock")


def test_another_user_runs_scripts_as_itself_and_stays(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 1000)

    assert place_for_runs(closed / ".airlock") == closed / ".airlock"


def test_a_place_can_be_gone_through_under_a_closed_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_place(tmp_path / "a" / "b")
    finally:
        os.umask(before)

    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o711, 0o711]
