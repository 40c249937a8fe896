"""Which sandbox a worker takes: strong enough, proven, and able to record where a trial needs it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from domain.environments import Environment
from domain.errors import SandboxUnavailable
from domain.runs import Backend, Isolation, RunPurpose
from worker import sandbox_choice
from worker.sandbox_choice import LocalSandbox, chosen
from worker.settings import WorkerSettings
from worker.start_up import CannotStart

STRENGTH = {Backend.BUBBLEWRAP: 2, Backend.LANDLOCK: 1, Backend.GVISOR: 3}


class FakeSandbox:
    """One that this machine has, or has not."""

    def __init__(self, backend: Backend, *, there: bool) -> None:
        self.backend, self._there = backend, there

    async def probe(self) -> Isolation:
        if not self._there:
            raise SandboxUnavailable("it is not installed")
        return Isolation(backend=self.backend, level=STRENGTH[self.backend])


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[Backend]:
    """What this machine has; a test takes something away."""
    found = set(STRENGTH)

    def maker(backend: Backend) -> object:
        def make(*_: object) -> FakeSandbox:
            return FakeSandbox(backend, there=backend in found)

        return make

    monkeypatch.setattr(sandbox_choice, "MAKERS", {backend: maker(backend) for backend in STRENGTH})
    return found


async def choice(sandbox: str, purpose: RunPurpose, minimum: int) -> Backend:
    settings = WorkerSettings.model_validate({"database_url": "sqlite:///x", "sandbox": sandbox})
    environments: Mapping[str, Environment] = {}
    found: LocalSandbox = await chosen(settings, environments, purpose, minimum)
    return found.backend


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("sandbox", "purpose", "minimum", "expected"),
    [
        ("auto", RunPurpose.TRIAL, 1, Backend.BUBBLEWRAP),
        ("auto", RunPurpose.EXECUTION, 2, Backend.BUBBLEWRAP),
        ("auto", RunPurpose.EXECUTION, 3, Backend.GVISOR),
        ("landlock", RunPurpose.EXECUTION, 1, Backend.LANDLOCK),
        ("gvisor", RunPurpose.EXECUTION, 2, Backend.GVISOR),
        ("gvisor", RunPurpose.TRIAL, 2, Backend.BUBBLEWRAP),
    ],
)
async def test_the_first_that_is_strong_enough_is_taken(
    sandbox: str, purpose: RunPurpose, minimum: int, expected: Backend
) -> None:
    assert await choice(sandbox, purpose, minimum) is expected


async def test_what_this_machine_has_not_is_passed_over(there: set[Backend]) -> None:
    there.remove(Backend.BUBBLEWRAP)

    assert await choice("auto", RunPurpose.EXECUTION, 1) is Backend.LANDLOCK


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("sandbox", "purpose", "minimum", "reason"),
    [
        ("landlock", RunPurpose.EXECUTION, 2, "landlock is level 1"),
        ("auto", RunPurpose.TRIAL, 3, "gvisor records nothing, and so holds no trials"),
    ],
)
async def test_nothing_weaker_is_taken_instead(sandbox: str, purpose: RunPurpose, minimum: int, reason: str) -> None:
    with pytest.raises(CannotStart, match=reason):
        await choice(sandbox, purpose, minimum)


async def test_one_that_cannot_be_had_is_a_reason(there: set[Backend]) -> None:
    there.clear()

    with pytest.raises(CannotStart, match="gvisor: it is not installed"):
        await choice("auto", RunPurpose.EXECUTION, 3)


def test_every_backend_of_this_machine_has_a_maker() -> None:
    assert set(sandbox_choice.MAKERS) == set(Backend) - {Backend.KUBERNETES}
