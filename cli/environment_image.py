"""`airlock environments image`: an environment as an image for pods, from the lock that the one here was made from."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.exit_codes import ExitCode
from cli.session import Failed, tell
from cli.settings import operator_settings
from cli.terminal import OUT, untrusted
from domain.environments import Environment
from sandbox.environment_description import asked
from storage.catalogues import load_environments

DOCKERFILE = Path(__file__).parent.parent / "deploy" / "environment" / "Dockerfile"
PYTHON = "/opt/environment/bin/python"
"""The interpreter in every image."""
BUILD_SECONDS = 1800
MOVE_SECONDS = 600

Names = Annotated[list[str] | None, typer.Argument(help="Which environments; default: all of this machine.")]
Base = Annotated[
    str | None, typer.Option(help="Image with Python of the environment's minor version; default: slim's.")
]
Repository = Annotated[str, typer.Option(help="What comes before the environment's name.")]
Push = Annotated[bool, typer.Option("--push", help="Push to that registry.")]
Nodes = Annotated[
    list[str] | None,
    typer.Option("--node", help='Load onto a node instead: its containerd, as "docker exec -i NODE ctr -n k8s.io".'),
]
BuildOptions = Annotated[str, typer.Option(help="More words for `docker build`.")]


def image(
    names: Names = None,
    *,
    base: Base = None,
    repository: Repository = "localhost/airlock",
    push: Push = False,
    node: Nodes = None,
    build_options: BuildOptions = "",
) -> None:
    """Build the image of an environment, for pods.

    Prints what the cluster file has to say of it: the digest, never a tag.
    """
    directory = operator_settings().environments
    known = load_environments(directory)
    for name in names or list(known):
        if name not in known:
            raise Failed(f"There is no environment {name!r} in {directory}.", ExitCode.NOT_FOUND)
        reference = f"{repository}/{name}:{known[name].digest[:12]}"
        _build(reference, known[name], directory, base, shlex.split(build_options))
        _compare(reference, known[name])
        moved = _pushed(reference) if push else _loaded(reference, node or [])
        _print_placement(name, moved or reference, by_digest=moved is not None)


def lock_of(directory: Path, name: str) -> Path:
    """Where the requirements of an environment are kept."""
    return directory / f"{name}.lock"


def _build(reference: str, environment: Environment, directory: Path, base: str | None, options: Sequence[str]) -> None:
    lock = lock_of(directory, environment.name)
    if environment.packages and not lock.exists():
        words = f"{environment.name} was not made from a lock here: `airlock environments make` makes one that was."
        raise Failed(words, ExitCode.NOT_FOUND)
    tell(f"Building {reference} ...")
    with tempfile.TemporaryDirectory(prefix="airlock-image-") as place:
        context = Path(place)
        shutil.copyfile(DOCKERFILE, context / "Dockerfile")
        (context / "requirements.lock").write_bytes(lock.read_bytes() if lock.exists() else b"")
        arguments = ("--build-arg", f"BASE={base}") if base else ()
        _docker("build", *arguments, *options, "--tag", reference, place, within=BUILD_SECONDS)


def _compare(reference: str, environment: Environment) -> None:
    """What is in it, as it says itself. Raises Failed where our code, which comes compiled, would not run in it."""
    command = ("docker", "run", "--rm", "--interactive", "--network", "none", "--read-only", "--cap-drop", "ALL")
    there = asked((*command, reference), PYTHON, _docker_environment())
    here = asked((environment.python,), environment.python)
    if _minor(there) != _minor(here):
        words = f"{reference} has Python {_minor(there)}, and the environment here {_minor(here)}: name another --base."
        raise Failed(words, ExitCode.REFUSED)
    if there["digest"] == here["digest"]:
        tell(f"{reference} has the digest of the environment here: {here['digest'][:12]}.")
        return
    differing = [f"{name} {value}" for name, value in _packages(there) ^ _packages(here)]
    why = ", ".join(sorted(differing)) or f"its Python is {there['version']}, the one here {here['version']}"
    tell(
        f"{reference} has another digest than the environment here ({why}). Trials and executions both need the image."
    )


def _packages(said: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(each["name"], each["version"]) for each in said["packages"]}


def _minor(said: Mapping[str, Any]) -> str:
    return ".".join(str(said["version"]).split()[0].split(".")[:2])


def _pushed(reference: str) -> str:
    """Its name by the digest that the registry gave it."""
    _docker("push", "--quiet", reference, within=MOVE_SECONDS)
    name = reference.rpartition(":")[0]
    for each in _docker("image", "inspect", "--format", '{{join .RepoDigests " "}}', reference).split():
        if each.startswith(f"{name}@"):
            return each
    raise Failed(f"The registry gave {reference} no digest.", ExitCode.UNAVAILABLE)


def _loaded(reference: str, nodes: Sequence[str]) -> str | None:
    """Its name by the digest that the nodes gave it, None without nodes."""
    digests = {_on_node(reference, shlex.split(node)) for node in nodes}
    if len(digests) > 1:
        raise Failed(f"The nodes gave {reference} different digests: {', '.join(sorted(digests))}.", ExitCode.PLATFORM)
    return f"{reference.rpartition(':')[0]}@{digests.pop()}" if digests else None


def _on_node(reference: str, containerd: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="airlock-image-") as place:
        archive = Path(place) / "image.tar"
        _docker("save", "--output", str(archive), reference, within=MOVE_SECONDS)
        with archive.open("rb") as content:
            _run((*containerd, "images", "import", "-"), within=MOVE_SECONDS, given=content.fileno())
    digest = next(_digests(_run((*containerd, "images", "ls", f"name=={reference}"))), None)
    if digest is None:
        raise Failed(f"The node does not have {reference} after it was loaded.", ExitCode.PLATFORM)
    name = reference.rpartition(":")[0]
    _run((*containerd, "images", "tag", "--force", reference, f"{name}@{digest}"))
    return digest


def _digests(listed: str) -> Iterator[str]:
    return (word for line in listed.splitlines() for word in line.split() if word.startswith("sha256:"))


def _print_placement(name: str, reference: str, *, by_digest: bool) -> None:
    if not by_digest:
        tell(f"{reference} is in this engine alone: --push or --node brings it where pods find it, by digest.")
        return
    for purpose in ("trials", "executions"):
        OUT.print(untrusted(f'[{purpose}.images.{name}]\nreference = "{reference}"\npython = "{PYTHON}"'))
        OUT.print(untrusted(f'roots = ["{Path(PYTHON).parent.parent}"]'))


def _docker(*words: str, within: float = 60) -> str:
    return _run(("docker", *words), within=within)


def _docker_environment() -> dict[str, str]:
    """The classic builder needs no plugin, and none is assumed."""
    return {**os.environ, "DOCKER_BUILDKIT": "0"}


def _run(command: Sequence[str], *, within: float = 60, given: int | None = None) -> str:
    """What it prints. Raises Failed with its last words."""
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own words
            command, stdin=subprocess.DEVNULL if given is None else given, capture_output=True, text=True,
            timeout=within, check=False, env=_docker_environment(),
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Failed(f"There is no {command[0]} on the PATH.", ExitCode.UNAVAILABLE) from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{shlex.join(command[:3])} did not end in {within:.0f} s.", ExitCode.UNAVAILABLE) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-1000:]
        raise Failed(f"{shlex.join(command[:3])} failed: {words}", ExitCode.UNAVAILABLE)
    return done.stdout
