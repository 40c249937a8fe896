"""`airlock environments`: what scripts may import. Listed by the server; described and made on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli import environment_image
from cli.client import parts_of
from cli.environment_image import lock_of
from cli.exit_codes import ExitCode
from cli.places import make_place
from cli.session import AsJson, Failed, connection, tell
from cli.settings import operator_settings
from cli.terminal import OUT, print_json, table
from domain.environments import Environment
from domain.errors import EnvironmentUnavailable
from sandbox.environment_description import describe_environment

DEFAULT = "default"
MAKING_SECONDS = 900
"""For pip, which downloads."""

app = typer.Typer(no_args_is_help=True, help="What scripts may import.")
Name = Annotated[str, typer.Argument(help="What submissions call it.")]
Description = Annotated[str, typer.Option(help="One line for people who choose.")]


@app.command("list")
def list_environments(*, as_json: AsJson = False) -> None:
    """List what the server offers."""
    with connection() as client:
        answer = client.environments()
    if as_json:
        print_json(answer)
        return
    rows = [(str(each.get("name")), each.get("description")) for each in parts_of(answer, "environments")]
    OUT.print(table(("environment", "description"), rows))


@app.command()
def add(
    name: Name,
    *,
    python: Annotated[Path, typer.Option(help="Its interpreter; of a virtual environment, that one's.")],
    description: Description = "",
    as_json: AsJson = False,
) -> None:
    """Offer an interpreter with what it can import. Workers see it when they start again."""
    directory = operator_settings().environments
    added = _offer(name, python.absolute(), description, directory)
    lock_of(directory, name).unlink(missing_ok=True)  # of another environment that had this name
    _show(added, as_json=as_json)


@app.command()
def make(
    name: Name,
    *,
    requirements: Annotated[Path, typer.Option(help="A hash-locked requirements file.", exists=True, dir_okay=False)],
    description: Description = "",
    as_json: AsJson = False,
) -> None:
    """Make an environment from a requirements file, and offer it."""
    directory = operator_settings().environments
    python = _virtual_environment(directory / name, "--clear")
    tell(f"Installing {requirements} ...")
    _perform(python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes",
             "--only-binary", ":all:", "-r", str(requirements))  # fmt: skip
    shutil.copyfile(requirements, lock_of(directory, name))  # what its image is made from
    _show(_offer(name, python, description or f"Made from {requirements.name}", directory), as_json=as_json)


app.command("image")(environment_image.image)


def make_default(directory: Path) -> None:
    """Make the environment `default`, the standard library alone, unless it is there and still good.

    Raises Failed, EnvironmentUnavailable.
    """
    described = directory / f"{DEFAULT}.json"
    if described.exists() and _still_good(described):
        return
    python = _virtual_environment(directory / DEFAULT, "--clear", "--without-pip")
    _offer(DEFAULT, python, "The standard library alone", directory)


def _show(offered: Environment, *, as_json: bool) -> None:
    packages, modules = len(offered.packages), len(offered.modules)
    if as_json:
        print_json({"name": offered.name, "digest": offered.digest, "packages": packages, "modules": modules})
        return
    tell(f"{offered.name}: {packages} packages, {modules} modules. Start the workers again to offer it.")


def _still_good(described: Path) -> bool:
    """Whether an environment is what it was described as: a new Python of the system's makes another of it."""
    try:
        known = Environment.model_validate_json(described.read_bytes())
        return describe_environment(known.name, Path(known.python), known.description) == known
    except (EnvironmentUnavailable, ValidationError):
        return False


def _offer(name: str, python: Path, description: str, directory: Path) -> Environment:
    environment = describe_environment(name, python, description)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.json").write_text(environment.model_dump_json(indent=2) + "\n", "utf-8")
    return environment


def _virtual_environment(place: Path, *options: str) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    make_place(place.parent)
    _perform(Path(sys.base_prefix) / "bin" / version, "-m", "venv", *options, str(place))
    return place / "bin" / "python"


def _perform(python: Path, *arguments: str) -> None:
    """Run an interpreter of the operator's. Raises Failed with the end of what it said."""
    command = (str(python), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAKING_SECONDS, check=False, umask=0o022)  # noqa: S603 - the operator's own words
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{python} cannot be run: {error}", ExitCode.UNAVAILABLE) from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-500:]}", ExitCode.UNAVAILABLE)
