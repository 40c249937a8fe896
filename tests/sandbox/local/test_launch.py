"""A command is started as the user that it is to have, by whatever this machine has for that."""

from __future__ import annotations

import os

import pytest

from sandbox.local import launch as module
from sandbox.local.launch import launch
from sandbox.local.launched import end
from sandbox.local.plan import LaunchPlan
from sandbox.local.run_uid import FIRST

IDS = "import os; print(os.getresuid(), os.getresgid(), os.getgroups(), dict(os.environ), flush=True)"


@pytest.mark.skipif(os.getuid() != 0, reason="only root chooses another user")
@pytest.mark.parametrize("has_setpriv", [True, False])
async def test_a_command_has_its_user_and_no_other_group(monkeypatch: pytest.MonkeyPatch, has_setpriv: bool) -> None:
    if not has_setpriv:
        monkeypatch.setattr(module, "_user_changer", lambda: None)
    plan = LaunchPlan(("/usr/bin/python3", "-I", "-S", "-c", IDS), environment={"LANG": "C.UTF-8"})

    launched = await launch(plan, FIRST)
    said = await launched.read()
    await end(launched, None)

    ids = (FIRST, FIRST, FIRST)
    assert said.decode().strip() == f"{ids} {ids} [] {{'LANG': 'C.UTF-8'}}"
