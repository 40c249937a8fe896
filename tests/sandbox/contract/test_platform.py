"""On a machine that is none of ours nothing is started, and one sentence says which would be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.environments import Environment
from domain.errors import SandboxUnavailable
from sandbox.controls.kernel import require_platform
from sandbox.local.launched import Launched
from sandbox.local.machine import Machine
from sandbox.local.plan import LaunchPlan
from tests.sandbox.contract.conftest import BACKENDS

Platform = tuple[str, str, str, str, str]
FOREIGN: list[Platform] = [
    ("Linux", "node", "6.1.0-13-arm64", "#1", "aarch64"),
    ("Linux", "node", "6.8.0", "#1", "i686"),
    ("Linux", "node", "6.8.0", "#1", "riscv64"),
    ("Darwin", "node", "23.1.0", "Darwin Kernel", "x86_64"),
    ("FreeBSD", "node", "14.0", "#1", "amd64"),
    ("Windows", "node", "10", "10.0", "AMD64"),
    ("Linux", "node", "5.18.19-generic", "#1", "x86_64"),
    ("Linux", "node", "5.4.0-150-generic", "#1", "x86_64"),
    ("Linux", "node", "4.19.0", "#1", "x86_64"),
    ("Linux", "node", "", "#1", "x86_64"),
    ("Linux", "node", "unknown", "#1", "x86_64"),
]


async def never(_: LaunchPlan, __: int | None) -> Launched:
    raise AssertionError("something was started")


@pytest.mark.parametrize("platform", FOREIGN, ids=lambda platform: f"{platform[4]}-{platform[0]}-{platform[2]}")
@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_foreign_machine_is_refused_in_one_sentence(
    backend: str, platform: Platform, environment: Environment, tmp_path: Path
) -> None:
    sandbox = BACKENDS[backend]({"default": environment}, tmp_path, Machine(uname=lambda: platform, launch=never))

    with pytest.raises(SandboxUnavailable) as refusal:
        await sandbox.probe()

    message = refusal.value.message
    assert re.fullmatch(r"Sandboxes need x86_64 Linux 5\.19 or newer, and this is [^\n]+\.", message)
    assert f"{platform[4]} {platform[0]}" in message


@pytest.mark.parametrize("release", ["5.19", "5.19.0-50-generic", "6.1.0-13-amd64", "6.18.44-custom+", "10.0-rc1"])
def test_every_newer_kernel_will_do(release: str) -> None:
    require_platform(("Linux", "node", release, "#1", "x86_64"))
