"""The policy is data: each line has its reasons, each control has its check, and the page says what is in force."""

from pathlib import Path

import pytest

from domain.limits import BOUNDS, RUN_LIMITS
from domain.runs import Backend
from sandbox.controls.observation import CHECKS
from sandbox.profiles.page import page
from sandbox.profiles.tables import controls, gives, level_of, required_of, telemetry

ROOT = Path(__file__).parents[3]


def test_every_control_has_a_check_and_every_check_is_a_control() -> None:
    assert {each.name for each in controls()} == CHECKS


@pytest.mark.parametrize("backend", Backend)
def test_every_backend_has_controls_and_telemetry(backend: Backend) -> None:
    assert {"no_new_privs", "seccomp", "limits", "network_denied"} <= set(required_of(backend))
    assert gives(backend, "exit")


def test_names_are_not_used_twice() -> None:
    for table in (controls(), telemetry()):
        assert len({each.name for each in table}) == len(table)


def test_what_a_machine_may_lack_is_asked_for_where_it_is_there() -> None:
    assert "in_cgroup" not in required_of(Backend.BUBBLEWRAP)
    assert "in_cgroup" in required_of(Backend.BUBBLEWRAP, possible=frozenset({"in_cgroup"}))
    assert "in_cgroup" not in required_of(Backend.GVISOR, possible=frozenset({"in_cgroup"}))


@pytest.mark.parametrize(
    ("backend", "level"), [(Backend.LANDLOCK, 1), (Backend.BUBBLEWRAP, 2), (Backend.GVISOR, 3), (Backend.KUBERNETES, 2)]
)
def test_a_level_is_what_was_seen(backend: Backend, level: int) -> None:
    seen = dict.fromkeys(required_of(backend), True)

    assert level_of(seen) == level
    assert level_of({**seen, "nice": False}) == 0
    assert level_of({}) == 0


def test_only_gvisor_records_nothing() -> None:
    assert {backend for backend in Backend if not gives(backend, "attempts")} == {Backend.GVISOR}


def test_the_page_is_fresh_and_has_every_limit() -> None:
    written = (ROOT / "docs" / "sandbox-policy.md").read_text()

    assert written == page(), "run: python -m sandbox.profiles.page > docs/sandbox-policy.md"
    for name in RUN_LIMITS:
        assert f"| `{name}` | {BOUNDS[name].default:,} | {BOUNDS[name].maximum:,} |" in written
