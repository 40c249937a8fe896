"""What scripts may import: an interpreter with its packages, as the operator configured it."""

from __future__ import annotations

from pydantic import Field

from domain.values import Value


class Package(Value):
    """An installed distribution."""

    name: str
    version: str


class Environment(Value):
    """One interpreter and what it can import. Locally its files are shown to a run read-only."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    description: str = Field(default="", max_length=300)
    python: str
    """Absolute path of the interpreter, readable by whoever runs scripts."""
    roots: tuple[str, ...] = ()
    """Absolute directories that it needs, besides the system's own libraries."""
    modules: tuple[str, ...] = ()
    """Importable top-level names, the standard library included."""
    packages: tuple[Package, ...] = ()
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Over the interpreter's version and every package's recorded files: the runner computes the same inside."""
