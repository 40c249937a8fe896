"""The runs of one state directory, as the machine shows them: which there are, and whether all of them are dead."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from sandbox.local.markers import RunMarker
from tests.e2e.parts import parents_of_all, text_of


class LiveRuns:
    """Whoever has a `state` directory can be asked."""

    state: Path

    def runs(self) -> dict[str, RunMarker]:
        """What there are markers of, by run id."""
        found = (RunMarker.model_validate_json(text) for text in map(text_of, self.state.glob("*/*.run.json")) if text)
        return {marker.run_id: marker for marker in found}

    def run_processes(self) -> set[int]:
        """Every process that belongs to a run now."""
        parents = parents_of_all()
        found: set[int] = set()
        roots = {pid for marker in self.runs().values() for pid in (marker.launcher, marker.runner)}
        while roots:
            found |= roots
            roots = {pid for pid, parent in parents.items() if parent in roots} - found
        return {pid for pid in found if pid in parents}

    async def dead(self, within: float = 20) -> bool:
        """Whether every process of a run, as far as there is a marker of it, ends in time."""
        last = time.monotonic() + within
        seen = self.run_processes()
        while seen:
            if time.monotonic() > last:
                return False
            await asyncio.sleep(0.05)
            seen = (seen | self.run_processes()) & parents_of_all().keys()
        return True

    async def buried(self, within: float = 20) -> bool:
        """The same, and nothing is left to tell of a run."""
        last = time.monotonic() + within
        while await self.dead(within) and self.runs():
            if time.monotonic() > last:
                return False
            await asyncio.sleep(0.05)
        return not self.runs()
