"""What is remembered of runs on a machine, and what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.errors import SandboxUnavailable
from sandbox.local.markers import RunMarker, RunMarkers, this_process


def a_marker(run_id: str = "eval_a-trial-1") -> RunMarker:
    process, started = this_process()
    return RunMarker(
        run_id=run_id,
        worker=process,
        worker_started=started,
        launcher=process,
        launcher_started=started,
        runner=process,
        runner_started=started,
    )


def test_a_marker_comes_back_and_is_forgotten(tmp_path: Path) -> None:
    markers = RunMarkers(tmp_path / "state")
    markers.write(a_marker())

    assert markers.read("eval_a-trial-1") == a_marker()
    assert markers.run_ids() == ("eval_a-trial-1",)
    markers.remove("eval_a-trial-1")
    assert markers.read("eval_a-trial-1") is None


def test_a_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    markers = RunMarkers(tmp_path / "state")

    markers.write(a_marker("../../outside"))

    assert [path.parent.name for path in tmp_path.rglob("*.json")] == ["state"]
    assert markers.run_ids() == ("../../outside",)


def test_a_process_that_took_over_a_number_is_not_the_run() -> None:
    later = a_marker().model_copy(update={"launcher_started": 1, "runner_started": 1})

    assert a_marker().alive
    assert not later.alive


def test_a_directory_that_cannot_be_used_is_a_refusal_in_one_sentence(tmp_path: Path) -> None:
    markers = RunMarkers(tmp_path / "state")
    (tmp_path / "state" / "eval_a-trial-1.run.json").mkdir()

    for use in (lambda: markers.read("eval_a-trial-1"), lambda: markers.write(a_marker())):
        with pytest.raises(SandboxUnavailable, match=r"state directory .* cannot be used"):
            use()
