"""The operator's own table from findings to verdicts holds at the door, and in what is said to be in force."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from api.settings import ApiSettings
from api.wiring import opened
from detection.policy_file import PolicyError
from domain.environments import Environment
from tests.api.conftest import ROOT

STARTS_PROCESS = "import os\nos.system('true')\n"


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    policy = tmp_path / "policy.toml"
    policy.write_text('version = "lenient"\n[rules]\nstarts_process = "suspicious"\n')
    return settings.model_copy(update={"policy_file": policy})


async def test_a_rule_that_the_operator_only_suspects_is_not_refused_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post(ROOT, json={"model_id": "mock", "script": STARTS_PROCESS})

    assert answer.status_code == 202, answer.text


async def test_the_policy_in_force_is_told(client: httpx.AsyncClient) -> None:
    in_force = (await client.get("/api/v1/limits")).json()["policy"]

    assert in_force["version"].startswith("lenient (")
    assert in_force["rules"] == [{"rule": "starts_process", "verdict": "suspicious"}]


async def test_a_policy_that_names_no_rule_of_ours_does_not_start(settings: ApiSettings, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('version = "1"\n[rules]\nno_such_rule = "approved"\n')
    empty = tmp_path / "environments"
    empty.mkdir()
    default = Environment(name="default", python="/usr/bin/python3", digest="d" * 64)
    (empty / "default.json").write_text(default.model_dump_json())

    with pytest.raises(PolicyError, match="no_such_rule"):
        async with opened(settings.model_copy(update={"environments_dir": empty})):
            pass
