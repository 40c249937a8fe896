"""Schemathesis with all its checks, by the OpenAPI document, over a real socket, as two tenants."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import ROOT
from tests.api.fuzzed import TENANTS, WORDS

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = 200
"""Of each operation."""


@pytest.fixture
def fuzzed(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address, and a key of each tenant."""
    with (tmp_path / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.api.fuzzed", str(tmp_path)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        try:
            url, *keys = process.stdout.readline().split()
            yield url, dict(zip(TENANTS, keys, strict=True))
        finally:
            process.terminate()
            process.communicate(timeout=60)


def a_config(folder: Path, keys: dict[str, str]) -> Path:
    """The committed settings with these keys."""
    users = [
        {"name": tenant, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
        for tenant, key in keys.items()
    ]
    (folder / "auth.json").write_text(json.dumps({"auth": users}))
    config = folder / "schemathesis.toml"
    settings = Path(__file__).with_name("schemathesis.toml").read_text("utf-8")
    config.write_text(settings.replace('"AUTH"', f'"{folder}/auth.json"'), "utf-8")
    return config


def test_the_watch_for_foreign_words_sees_them(fuzzed: tuple[str, dict[str, str]], tmp_path: Path):
    url, keys = fuzzed
    headers = {"Authorization": f"Bearer {keys['tenant-a']}"}

    mine = httpx.get(url + ROOT, headers=headers)
    assert not (tmp_path / "foreign").exists()
    told = {"model_id": "mock", "script": "print(1)\n", "config": {"tags": {"word": WORDS["tenant-b"]}}}
    httpx.post(url + ROOT, headers=headers, json=told)

    assert WORDS["tenant-a"] in mine.text
    assert (tmp_path / "foreign").read_text() == f"POST {ROOT}\n"


@pytest.mark.slow
def test_the_api_keeps_every_promise_of_its_document(fuzzed: tuple[str, dict[str, str]], tmp_path: Path):
    url, keys = fuzzed

    run = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), f"--config-file={a_config(tmp_path, keys)}", "run"),
            *(f"{url}/openapi.json", "--checks=all", f"--max-examples={EXAMPLES}", "--no-shrink"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    assert not (tmp_path / "foreign").exists(), (tmp_path / "foreign").read_text()
    assert httpx.get(f"{url}/livez").status_code == 200
