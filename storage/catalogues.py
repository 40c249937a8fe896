"""What the operator has configured in files: environments and models."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.environments import Environment
from domain.model_catalogue import CatalogueModel, Provider

BUILT_IN = ("mock", "gpt-4")
"""Where no catalogue is named: both are answered by the mock."""


class CatalogueError(Exception):
    """A catalogue that cannot be used. Its text is one sentence for the operator."""


def load_environments(directory: Path) -> dict[str, Environment]:
    """The environments by name, one from each `*.json`. Raises CatalogueError."""
    if not directory.is_dir():
        raise CatalogueError(f"There is no directory of environments at {directory}.")
    loaded: dict[str, Environment] = {}
    for path in sorted(directory.glob("*.json")):
        try:
            environment = Environment.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise CatalogueError(f"The environment {path} is not valid: {_first(error)}.") from error
        except OSError as error:
            raise CatalogueError(f"The environment {path} cannot be read: {error.strerror}.") from error
        if environment.name in loaded:
            raise CatalogueError(f"The environment {environment.name!r} is there twice, the second time in {path}.")
        loaded[environment.name] = environment
    if not loaded:
        raise CatalogueError(f"There is no environment (*.json) in {directory}.")
    return loaded


def load_models(file: Path | None) -> dict[str, CatalogueModel]:
    """The models by id, one from each `[[models]]`. Raises CatalogueError."""
    if file is None or not file.exists():
        return _by_id((CatalogueModel(model_id=name, provider=Provider.MOCK) for name in BUILT_IN), "the built-in ones")
    try:
        models = _Catalogue.model_validate(tomllib.loads(file.read_text("utf-8"))).models
    except ValidationError as error:
        raise CatalogueError(f"The model catalogue {file} is not valid: {_first(error)}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"The model catalogue {file} is not TOML: {error}.") from error
    except OSError as error:
        raise CatalogueError(f"The model catalogue {file} cannot be read: {error.strerror}.") from error
    if not models:
        raise CatalogueError(f"The model catalogue {file} names no model.")
    return _by_id(models, str(file))


class _Catalogue(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: list[CatalogueModel] = []


def _by_id(models: Iterable[CatalogueModel], where: str) -> dict[str, CatalogueModel]:
    catalogue: dict[str, CatalogueModel] = {}
    for model in models:
        if model.model_id in catalogue:
            raise CatalogueError(f"The model {model.model_id!r} is there twice in {where}.")
        catalogue[model.model_id] = model
    return catalogue


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]
