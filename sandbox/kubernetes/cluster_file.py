"""The operator's description of a cluster: how to get there, and where the pods of each trust class run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from sandbox.kubernetes.manifest import Placement


class UnusableClusterFile(Exception):
    """The file is missing, or is none. Its text is one sentence for the operator."""


class ClusterFile(BaseModel):
    """A cluster: one placement per trust class, and how to get there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kubeconfig: Path | None = None
    """None: the cluster that this process runs in."""
    namespace: str = "airlock"
    """Airlock's own, where the Lease is by which monitors agree on who acts."""
    trials: Placement
    executions: Placement

    @model_validator(mode="after")
    def _classes_are_apart(self) -> Self:
        if len({self.namespace, self.trials.namespace, self.executions.namespace}) < 3:
            raise ValueError("trials, executions and Airlock's own objects need a namespace each")
        return self


def read_cluster_file(file: Path) -> ClusterFile:
    """Raises UnusableClusterFile."""
    try:
        return ClusterFile.model_validate(tomllib.loads(file.read_text("utf-8")))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(each) for each in problem["loc"])
        raise UnusableClusterFile(f"The cluster file {file} is not valid: {where}: {problem['msg']}.") from error
    except (OSError, ValueError) as error:
        raise UnusableClusterFile(f"The cluster file {file} cannot be read: {error}.") from error
