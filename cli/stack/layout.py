"""Where the embedded stack keeps its files, and where it listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cli.places import make_place, place_for_runs
from cli.stack.ports import HOST, free_port

NAMESPACE = "default"


@dataclass(frozen=True)
class Layout:
    """One stack. Its directory is private: it holds keys and scripts."""

    state: Path
    """Absolute."""
    temporal_port: int
    web_ui_port: int
    api_port: int

    @classmethod
    def settle(cls, state: Path, tell: Callable[[str], None], *, usual_ports: bool = True) -> Self:
        """Make the directory and choose ports that are free. Without the usual ports any will do. Raises OSError."""
        state = state.absolute()
        runs = place_for_runs(state)
        if runs != state:
            tell(f"Runs have users of their own, who cannot enter {state.parent}: what they need is in {runs}.")
        for directory in (state, runs):
            make_place(directory)
        taken: set[int] = set()
        return cls(
            state=state,
            temporal_port=free_port(7233 if usual_ports else 0, "Temporal", taken, tell),
            web_ui_port=free_port(8233 if usual_ports else 0, "the Web UI", taken, tell),
            api_port=free_port(8000 if usual_ports else 0, "the API", taken, tell),
        )

    @property
    def database_url(self) -> str:
        """The SQLite file."""
        return f"sqlite:///{self.state / 'airlock.db'}"

    @property
    def temporal_address(self) -> str:
        """Where workers and the API find Temporal."""
        return f"{HOST}:{self.temporal_port}"

    @property
    def web_ui_url(self) -> str:
        """The Temporal Web UI."""
        return f"http://{HOST}:{self.web_ui_port}"

    @property
    def api_url(self) -> str:
        """The API."""
        return f"http://{HOST}:{self.api_port}"

    @property
    def environments(self) -> Path:
        """One `*.json` for each environment, and the interpreters that were made for them."""
        return place_for_runs(self.state) / "environments"

    @property
    def runs(self) -> Path:
        """Markers and scratch of the runs of this machine."""
        return place_for_runs(self.state) / "state"

    def log_of(self, name: str) -> Path:
        """The log of one process."""
        return self.state / "logs" / f"{name}.log"
