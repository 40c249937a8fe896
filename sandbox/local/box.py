"""What one run has of this machine: its user, its group, its scratch directory, its processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from domain.errors import SandboxUnavailable
from sandbox.local.cgroups import RunCgroup
from sandbox.local.launched import Launched
from sandbox.local.markers import RunMarker, started_at, this_process


@dataclass
class Box:
    """Filled as a run comes into being. `uid` is None where the worker is not root: then the run has the worker's."""

    uid: int | None
    cgroup: RunCgroup | None
    scratch: Path | None = None
    launched: Launched | None = None

    def join(self, launched: Launched) -> None:
        """Put the run into its group, before it is told what to do. Raises SandboxUnavailable."""
        try:
            if self.cgroup is not None:
                self.cgroup.add(launched.runner)
        except OSError as error:
            words = f"the run could not be put into its control group: {error.strerror}"
            raise SandboxUnavailable(words) from error
        launched.let_in()


def marker_of(run_id: str, box: Box, launched: Launched) -> RunMarker:
    """What another process has to know to end this run."""
    worker, worker_started = this_process()
    return RunMarker(
        run_id=run_id,
        worker=worker,
        worker_started=worker_started,
        launcher=launched.launcher,
        launcher_started=started_at(launched.launcher),
        runner=launched.runner,
        runner_started=started_at(launched.runner),
        uid=box.uid,
        cgroups=tuple(map(str, box.cgroup.directories)) if box.cgroup else (),
        scratch=str(box.scratch) if box.scratch else None,
    )
