"""The inner wall as every sandbox of this machine asks for it; what differs, each of them says itself."""

from __future__ import annotations

from domain.environments import Environment
from domain.runs import RunPurpose, RunRequest
from sandbox.controls.wall_spec import WallSpec
from sandbox.local.box import Box
from sandbox.local.places import SYSTEM_FILES, SYSTEM_ROOTS, THIEVES_LOOK_FOR, beyond_system


def wall_for(
    require: tuple[str, ...], environment: Environment, request: RunRequest, box: Box, scratch: str
) -> WallSpec:
    """The wall of a run with its scratch space in `scratch`, as the script sees it."""
    limits = request.limits
    return WallSpec(
        require=require,
        exec_roots=(*SYSTEM_ROOTS, *beyond_system(environment.roots)),
        write_roots=(scratch,),
        read_files=(*SYSTEM_FILES,),
        noted=THIEVES_LOOK_FOR,
        cpu_seconds=limits.cpu_seconds,
        memory_bytes=None if box.cgroup else limits.memory_bytes,
        processes=limits.processes,
        open_files=limits.open_files,
        file_bytes=limits.disk_bytes,
        recorded=request.purpose is RunPurpose.TRIAL,
        cgroup=box.cgroup.directories[0].name if box.cgroup else None,
    )
