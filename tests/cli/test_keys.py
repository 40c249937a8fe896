from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.database import migrate
from tests.cli.conftest import Airlock
from tests.slices import slice_of_rows


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('keys') / 'airlock.db'}"
    migrate(url)
    return url


def test_a_key_is_made_shown_once_and_revoked(airlock: Airlock, database: str) -> None:
    made = airlock("keys", "create", "--tenant", "team-a", "--json", AIRLOCK_DATABASE_URL=database)
    key = json.loads(made.stdout)

    codes = [airlock("keys", "revoke", key["key_id"], AIRLOCK_DATABASE_URL=database).returncode for _ in range(2)]

    assert key["secret"].startswith("airlock_")
    assert codes == [0, 4]


@pytest.mark.parametrize(
    ("option", "value"),
    slice_of_rows(
        [("--tenant", ""), ("--tenant", "a\x1b[31m\nb"), ("--tenant", "x" * 101), ("--model", ""), ("--label", "a\nb")],
        every=4,
    ),
    ids=["no tenant", "a tenant that paints", "a long tenant", "no model", "a label of two lines"],
)
def test_a_name_that_cannot_stand_in_a_row_is_said_and_no_key_is_made(
    airlock: Airlock, database: str, option: str, value: str
) -> None:
    ran = airlock("keys", "create", "--tenant", "a", option, value, AIRLOCK_DATABASE_URL=database)

    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(f"airlock: {option} is ".encode())


@pytest.mark.parametrize("name", ["nonsense", "sqlite:///{place}/empty.db"])
def test_a_database_that_has_no_keys_is_said_with_what_to_do(airlock: Airlock, tmp_path: Path, name: str) -> None:
    ran = airlock("keys", "create", "--tenant", "a", AIRLOCK_DATABASE_URL=name.format(place=tmp_path))

    assert (ran.returncode, len(ran.stderr.splitlines())) == (3, 1)
    assert b"AIRLOCK_DATABASE_URL" in ran.stderr or b"airlock admin setup" in ran.stderr
