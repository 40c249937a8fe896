from __future__ import annotations

import errno
from pathlib import Path

import pytest

from domain.errors import SandboxUnavailable
from sandbox.local.scratch import make_scratch


def test_where_a_run_cannot_have_a_user_of_its_own_there_is_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmapped(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("os.chown", unmapped)

    with pytest.raises(SandboxUnavailable, match="user of their own"):
        make_scratch(tmp_path / "run", 200_000)

    assert list(tmp_path.iterdir()) == []
