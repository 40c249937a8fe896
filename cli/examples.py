"""The examples of the repository, and how each of them must end."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.lifecycle import Status

DIRECTORY = Path(__file__).parent.parent / "examples"


class Example(BaseModel):
    """A script, how it is submitted, and its end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    shows: str
    status: Status
    cause: str | None = None
    """The code of its cause. None for what completes."""
    config: dict[str, Any] = Field(default_factory=dict)

    @property
    def script(self) -> str:
        """Its text."""
        return (DIRECTORY / self.file).read_text("utf-8")


class _Catalogue(BaseModel):
    model_config = ConfigDict(extra="forbid")

    examples: tuple[Example, ...]


def load_examples(directory: Path = DIRECTORY) -> tuple[Example, ...]:
    """All of them, in the order in which they are shown."""
    return _Catalogue.model_validate(tomllib.loads((directory / "examples.toml").read_text("utf-8"))).examples
