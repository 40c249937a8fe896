from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli import export
from cli.client import ServerAway
from tests.cli.servers import EVALUATION


class Breaking:
    """A server whose answer breaks off."""

    def __init__(self, *pieces: bytes, breaks: bool) -> None:
        self._pieces, self._breaks = pieces, breaks

    def export(self, evaluation_id: str) -> Generator[bytes]:
        yield from self._pieces
        if self._breaks:
            raise ServerAway(f"the answer about {evaluation_id} breaks off")


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Breaking]:
    server: list[Breaking] = []

    @contextmanager
    def connection() -> Generator[Breaking]:
        yield server[0]

    monkeypatch.setattr(export, "connection", connection)
    monkeypatch.chdir(tmp_path)
    return server


def test_a_file_holds_what_was_sent_and_is_for_its_owner_alone(answered: list[Breaking], tmp_path: Path) -> None:
    answered.append(Breaking(b"{", b"}", breaks=False))

    export.export(EVALUATION)

    file = tmp_path / f"{EVALUATION}.json"
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"{}", 0o600)


def test_of_an_answer_that_breaks_off_no_file_is_left(answered: list[Breaking], tmp_path: Path) -> None:
    answered.append(Breaking(b"{", breaks=True))

    with pytest.raises(ServerAway):
        export.export(EVALUATION)

    assert list(tmp_path.iterdir()) == []
