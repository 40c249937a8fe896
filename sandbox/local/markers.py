"""What this machine remembers of runs that may be alive, so that another process can end them: one file per run."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import ValidationError

from domain.errors import SandboxUnavailable
from domain.values import Value

_SUFFIX = ".run.json"


class RunMarker(Value):
    """One run on this machine. A process is meant together with its start, because numbers are used again.

    The first marker of a run has no processes yet: it says what the run was given before any of them was started.
    """

    run_id: str
    worker: int
    worker_started: int
    launcher: int = 0
    launcher_started: int = 0
    runner: int = 0
    runner_started: int = 0
    uid: int | None = None
    cgroups: tuple[str, ...] = ()
    scratch: str | None = None

    @property
    def worker_alive(self) -> bool:
        """Whether the worker that waits for the run still does."""
        return is_alive(self.worker, self.worker_started)

    @property
    def under_way(self) -> bool:
        """Whether a worker is about to start it, or it is alive with its worker."""
        return self.worker_alive and (self.launcher == 0 or self.alive)

    @property
    def alive(self) -> bool:
        """Whether the run's first processes are still there."""
        return is_alive(self.launcher, self.launcher_started) or is_alive(self.runner, self.runner_started)


class RunMarkers:
    """The markers of one backend, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, marker: RunMarker) -> None:
        """Keep a marker. Raises SandboxUnavailable: a run that nobody could find again must not go on."""
        file = self._file(marker.run_id)
        draft = file.with_suffix(".draft")
        try:
            draft.write_text(marker.model_dump_json(), encoding="utf-8")
            draft.replace(file)
        except OSError as error:
            raise self._unusable(error) from error

    def read(self, run_id: str) -> RunMarker | None:
        """The marker of a run, None where there is none. Raises SandboxUnavailable where nobody can tell."""
        try:
            return RunMarker.model_validate_json(self._file(run_id).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        except OSError as error:
            raise self._unusable(error) from error

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        self._file(run_id).unlink(missing_ok=True)
        self._order(run_id).unlink(missing_ok=True)

    def order_kill(self, run_id: str) -> None:
        """Write down that somebody wants the run to end, before it does."""
        self._order(run_id).touch()

    def kill_ordered(self, run_id: str) -> bool:
        """Whether somebody did."""
        return self._order(run_id).exists()

    def run_ids(self) -> tuple[str, ...]:
        """The runs that there is a marker of."""
        names = sorted(file.name for file in self._directory.glob(f"*{_SUFFIX}"))
        return tuple(unquote(name.removesuffix(_SUFFIX)) for name in names)

    def _unusable(self, error: OSError) -> SandboxUnavailable:
        return SandboxUnavailable(f"The state directory {self._directory} cannot be used: {error.strerror}.")

    def _file(self, run_id: str) -> Path:
        return self._directory / f"{quote(run_id, safe='')}{_SUFFIX}"

    def _order(self, run_id: str) -> Path:
        return self._directory / f"{quote(run_id, safe='')}.killed"


def started_at(process: int) -> int:
    """When a process began, in ticks since the machine did; 0 where it is gone or only its shell is left."""
    with suppress(OSError, IndexError, ValueError):
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return 0 if fields[0] in {"Z", "X"} else int(fields[19])
    return 0


def is_alive(process: int, started: int) -> bool:
    """Whether this very process is still there."""
    return started != 0 and started_at(process) == started


def this_process() -> tuple[int, int]:
    """The worker, as markers name it."""
    return os.getpid(), started_at(os.getpid())
