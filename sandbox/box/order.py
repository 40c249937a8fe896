"""What a runner is asked to do: the first message that it gets."""

from __future__ import annotations

from sandbox.controls.wall_spec import WallSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Order:
    """One run, as a backend orders it. It carries no secret but the key of its own stream.

    key            hexadecimal; what the runner says is digested with it, and what it hears has to be
    script         the source, as Latin-1 text: any bytes
    task           what the guest gets besides: params, seed, model_id
    wall           the inner wall
    python         the environment's interpreter, as the script sees it
    scratch        its scratch space: where it works, and its home
    decoys         environment variables of the script beyond our own
    decoy_files    contents by path below its home
    timeout        seconds
    parallel       model calls in flight
    resident_bytes memory of all its processes, watched by the runner; None where a cgroup does it
    tasks          processes and threads of the script together, watched by the runner; None where others do it
    scratch_bytes  size of all its files, watched by the runner; None where the file system does it
    stays          whether the runner was started as the interpreter that a script gets, by its options and environment:
                   then the script's process stays what it is, and no program is executed at all
    """

    def __init__(
        self,
        *,
        key: str,
        script: str,
        task: dict[str, Any],
        wall: dict[str, Any],
        python: str,
        scratch: str,
        timeout: float,
        output_bytes: int,
        result_bytes: int,
        parallel: int = 8,
        decoys: dict[str, str] | None = None,
        decoy_files: dict[str, str] | None = None,
        resident_bytes: int | None = None,
        tasks: int | None = None,
        scratch_bytes: int | None = None,
        stays: bool = False,
    ) -> None:
        self.key = key
        self.script = script
        self.task = task
        self.wall = wall
        self.python = python
        self.scratch = scratch
        self.timeout = timeout
        self.output_bytes = output_bytes
        self.result_bytes = result_bytes
        self.parallel = parallel
        self.decoys = decoys or {}
        self.decoy_files = decoy_files or {}
        self.resident_bytes = resident_bytes
        self.tasks = tasks
        self.scratch_bytes = scratch_bytes
        self.stays = stays

    def to_json(self) -> dict[str, Any]:
        """The order as plain JSON values."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read an order. Raises TypeError where it has a part that no order has."""
        return cls(**values)

    def wall_spec(self) -> WallSpec:
        """The inner wall as the child raises it."""
        return WallSpec.from_json(self.wall)
