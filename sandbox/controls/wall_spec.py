"""What the inner wall is asked to be: made by the backend, carried to the runner as JSON."""

from __future__ import annotations

from sandbox.controls import rlimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class WallSpec:
    """One run's inner wall. Paths are as the script sees them.

    read_roots    directories whose files may be read: their opens are counted, not kept
    exec_roots    the same, and their files may be executed; a run has one execve at most, its interpreter's
    write_roots   scratch directories
    read_files, write_files   single files
    noted         names in paths below the scratch directories whose opens are kept all the same: what thieves look for
    cpu_seconds   of one process
    memory_bytes  set only where no cgroup bounds memory
    processes     processes and threads of the script together, kept by the recorder where nothing else does
    tasks         RLIMIT_NPROC: all that the uid has; None where a cgroup bounds processes
    open_files    descriptors of one process
    file_bytes    size of one file
    recorded      whether opens for reading are recorded; everything else always is
    own_uid       whether nobody else has this uid, so that changing owners and modes reaches scratch files alone
    doors         what must not answer besides the nearest, `host:port` each, where the network is asked
    cgroup        the name of the run's own group, where it has one that can be seen from inside
    machine       set only where the box has a kernel of its own: the release of the machine's. Such a kernel has
                  neither Landlock nor listeners: nothing is recorded, and the script has another user than its runner
    require       the checks that must hold before the script may start
    seen          what was read before the wall closed the way to it; not part of the order
    """

    def __init__(
        self,
        *,
        require: tuple[str, ...],
        read_roots: tuple[str, ...] = (),
        exec_roots: tuple[str, ...] = (),
        write_roots: tuple[str, ...] = (),
        read_files: tuple[str, ...] = (),
        write_files: tuple[str, ...] = ("/dev/null",),
        noted: tuple[str, ...] = (),
        cpu_seconds: int = 300,
        memory_bytes: int | None = None,
        processes: int = 64,
        tasks: int | None = None,
        open_files: int = 256,
        file_bytes: int = 64 << 20,
        recorded: bool = True,
        own_uid: bool = True,
        doors: tuple[str, ...] = (),
        cgroup: str | None = None,
        machine: str | None = None,
    ) -> None:
        self.read_roots = tuple(read_roots)
        self.exec_roots = tuple(exec_roots)
        self.write_roots = tuple(write_roots)
        self.read_files = tuple(read_files)
        self.write_files = tuple(write_files)
        self.noted = tuple(noted)
        self.cpu_seconds = cpu_seconds
        self.memory_bytes = memory_bytes
        self.processes = processes
        self.tasks = tasks
        self.open_files = open_files
        self.file_bytes = file_bytes
        self.recorded = recorded
        self.own_uid = own_uid
        self.doors = tuple(doors)
        self.cgroup = cgroup
        self.machine = machine
        self.require = tuple(require)
        self.seen: dict[str, str] = {}

    def to_json(self) -> dict[str, Any]:
        """The order as plain JSON values."""
        return {name: value for name, value in vars(self).items() if name != "seen"}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read an order again. Raises TypeError where it has a part that no wall has."""
        return cls(**values)

    def wanted_limits(self) -> dict[str, tuple[int, int]]:
        """The rlimits that this amounts to."""
        limits = rlimits.wanted_limits(
            cpu_seconds=self.cpu_seconds,
            memory_bytes=self.memory_bytes,
            tasks=self.tasks,
            open_files=self.open_files,
            file_bytes=self.file_bytes,
        )
        if self.machine is not None:
            for unknown in ("MSGQUEUE", "NICE", "RTPRIO"):  # gVisor has none of these, and no use for them
                del limits[unknown]
        return limits
