"""Describes an environment by asking its own interpreter: what can be imported, what is installed, and its digest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from domain.environments import Environment
from domain.errors import EnvironmentUnavailable

_DIGEST_SOURCE = Path(__file__).parent / "box" / "environment_digest.py"
_DESCRIBE = """
import json, os, pkgutil, sys
sites = site_directories(sys.argv[1])
packages = []
for path in distributions(sites):
    found = {}
    for name in ("METADATA", "PKG-INFO"):
        try:
            with open(os.path.join(path, name), encoding="utf-8", errors="replace") as file:
                for line in file:
                    key, _, value = line.partition(":")
                    if not line.strip():
                        break
                    found.setdefault(key, value.strip())
        except OSError:
            continue
    if "Name" in found and "Version" in found:
        packages.append({"name": found["Name"], "version": found["Version"]})
modules = set(sys.stdlib_module_names) | {each.name for each in pkgutil.iter_modules(sites)}
print(json.dumps({
    "version": sys.version,
    "modules": sorted(modules), "packages": packages, "digest": environment_digest(sites),
    "prefix": os.path.realpath(sys.base_prefix), "executable": os.path.realpath(sys.argv[1]), "sites": sites,
}))
"""
_WITHIN = 60


def describe_environment(name: str, python: Path, description: str) -> Environment:
    """The environment of an interpreter, or of a virtual environment's. Raises EnvironmentUnavailable.

    A bare interpreter offers the standard library alone, a virtual environment its own packages too.
    """
    seen = asked((str(python),), str(python))
    try:
        return Environment(
            name=name,
            description=description,
            python=str(python),
            roots=_roots(python, seen),
            modules=tuple(each for each in seen["modules"] if each.isidentifier()),
            packages=seen["packages"],
            digest=seen["digest"],
        )
    except (ValueError, KeyError, ValidationError) as error:
        raise EnvironmentUnavailable(f"The interpreter {python} cannot describe itself.", str(error)) from error


def asked(command: Sequence[str], python: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What an interpreter says of itself: `version`, `modules`, `packages`, `digest`, and where its files are.

    The command starts it, here or in an image, where it is called `python`. Raises EnvironmentUnavailable.
    """
    program = _DIGEST_SOURCE.read_text("utf-8") + _DESCRIBE
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own interpreter
            [*command, "-I", "-S", "-", python],
            input=program, capture_output=True, text=True, timeout=_WITHIN, env=dict(environment or {}), cwd="/",
            check=True,
        )  # fmt: skip
        return json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EnvironmentUnavailable(f"The interpreter {python} cannot describe itself.", str(error)) from error


def _roots(python: Path, seen: dict[str, Any]) -> tuple[str, ...]:
    """The interpreter's own directory, that of every link on the way to it, and the virtual environment."""
    roots = {seen["prefix"], str(Path(seen["executable"]).parent)}
    if seen["sites"]:
        roots.add(str(python.parent.parent))
    at = python
    while at.is_symlink():
        at = at.parent / at.readlink()
        roots.add(str(at.parent))
    return tuple(sorted(root for root in roots if root not in {"/", "/usr"}))
