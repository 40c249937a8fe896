"""`airlock environments image`: what is built, what is compared, and by which name pods find it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.environment_image import PYTHON, image, lock_of
from cli.environments import make_default
from cli.session import Failed
from domain.environments import Environment, Package
from domain.runs import Backend
from sandbox.environment_description import describe_environment
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.manifest import PodImage
from tests.deploy.engine import ENGINE_BASE, require_engine
from tests.sandbox.kubernetes.runs import Seen, a_run
from tests.sandbox.kubernetes.world import CONTAINERD, World, entered

DIGEST = f"sha256:{'d' * 64}"
FAKE = """#!{interpreter}
import json, os, shutil, subprocess, sys
words = sys.argv[1:]
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "said"), "a") as said:
    print(json.dumps([os.path.basename(sys.argv[0]), *words]), file=said)
if words[0] == "build":
    shutil.copytree(words[-1], os.path.join(here, "context"), dirs_exist_ok=True)
elif words[0] == "run":
    python = {python!r}
    program = sys.stdin.read()
    done = subprocess.run([python, "-I", "-S", "-", python], input=program, capture_output=True, text=True, check=True)
    print(json.dumps(json.loads(done.stdout) | {changed!r}))
elif words[0] == "save":
    open(words[2], "w").close()
elif words[:2] == ["image", "inspect"]:
    print({pushed!r})
elif words[:2] == ["images", "ls"]:
    print("REF TYPE DIGEST SIZE\\n%s type %s 1 MiB" % (words[2], {digest!r}))
"""
LOCK = "six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\n"


class Engine:
    """A `docker` that builds nothing, and nodes that load nothing: what they were told is kept."""

    def __init__(self, directory: Path, python: str) -> None:
        self.directory = directory
        self._python = python
        self.add("docker")

    def add(self, name: str, *, loaded: str = DIGEST, pushed: str = "", **changed: Any) -> str:
        file = self.directory / name
        file.write_text(
            FAKE.format(interpreter=sys.executable, python=self._python, changed=changed, pushed=pushed, digest=loaded)
        )
        file.chmod(0o755)
        return str(file)

    @property
    def said(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.directory / "said").read_text().splitlines()]


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "environments"
    make_default(directory)
    monkeypatch.setenv("AIRLOCK_ENVIRONMENTS_DIR", str(directory))
    return directory


@pytest.fixture
def engine(tmp_path: Path, environments: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    known = Environment.model_validate_json((environments / "default.json").read_bytes())
    return Engine(programs, known.python)


def locked(directory: Path) -> None:
    """Let `default` have been made from a lock."""
    lock_of(directory, "default").write_text(LOCK)


def test_an_image_is_built_from_the_lock_that_the_environment_was_made_from(engine: Engine, environments: Path) -> None:
    locked(environments)

    image(["default"], base="registry.example/python:3")

    assert (engine.directory / "context" / "requirements.lock").read_text() == LOCK
    assert engine.said[0][1:4] == ["build", "--build-arg", "BASE=registry.example/python:3"]


def test_the_standard_library_alone_needs_no_lock(engine: Engine) -> None:
    image(None)

    assert (engine.directory / "context" / "requirements.lock").read_bytes() == b""


@pytest.mark.usefixtures("engine")
def test_the_digest_inside_is_held_against_the_one_here(capsys: pytest.CaptureFixture[str]) -> None:
    image(["default"])

    assert "has the digest of the environment here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"digest": "0" * 64, "version": f"{sys.version.split()[0]} (another build)"}, "(another build)"),
        ({"digest": "0" * 64, "packages": [{"name": "six", "version": "1.0"}]}, "six 1.0"),
    ],
)
def test_what_makes_two_digests_differ_is_said(
    changed: dict[str, Any], said: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.add("docker", **changed)

    image(["default"])

    assert "another digest" in (told := capsys.readouterr().err.replace("\n", " "))
    assert said in told


def test_a_python_that_could_not_run_our_code_is_refused(engine: Engine) -> None:
    engine.add("docker", version="3.9.1 (main)", digest="0" * 64)

    with pytest.raises(Failed, match=r"has Python 3\.9"):
        image(["default"])


@pytest.mark.usefixtures("engine")
def test_an_environment_without_a_lock_is_refused(environments: Path) -> None:
    file = environments / "default.json"
    known = Environment.model_validate_json(file.read_bytes())
    file.write_text(known.model_copy(update={"packages": (Package(name="six", version="1"),)}).model_dump_json())

    with pytest.raises(Failed, match="not made from a lock"):
        image(["default"])


@pytest.mark.usefixtures("engine")
def test_an_environment_that_is_none_is_refused() -> None:
    with pytest.raises(Failed, match="no environment 'other'"):
        image(["other"])


def test_a_missing_engine_is_said_in_a_sentence(engine: Engine) -> None:
    (engine.directory / "docker").unlink()

    with pytest.raises(Failed, match="There is no docker"):
        image(["default"])


def test_what_is_pushed_is_named_by_the_digest_of_the_registry(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.add("docker", pushed=f"other/default@sha256:1 registry.example/a/default@{DIGEST}")

    image(["default"], repository="registry.example/a", push=True)

    assert f'reference = "registry.example/a/default@{DIGEST}"' in (shown := capsys.readouterr().out)
    assert shown.count(f'python = "{PYTHON}"') == 2


@pytest.mark.usefixtures("engine")
def test_a_registry_without_a_digest_is_refused() -> None:
    with pytest.raises(Failed, match="no digest"):
        image(["default"], push=True)


def test_what_is_loaded_is_named_by_the_digest_of_the_nodes(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [f"{engine.add(name)}" for name in ("node-a", "node-b")]

    image(["default"], node=nodes)

    assert f'reference = "localhost/airlock/default@{DIGEST}"' in capsys.readouterr().out
    tagged = [words for words in engine.said if words[1:3] == ["images", "tag"]]
    assert [words[0] for words in tagged] == ["node-a", "node-b"]
    assert all(words[-1] == f"localhost/airlock/default@{DIGEST}" for words in tagged)


def test_nodes_that_do_not_agree_are_refused(engine: Engine) -> None:
    nodes = [engine.add("node-a"), engine.add("node-b", loaded=f"sha256:{'e' * 64}")]

    with pytest.raises(Failed, match="different digests"):
        image(["default"], node=nodes)


@pytest.mark.docker
@pytest.mark.cluster
@pytest.mark.slow
async def test_a_script_imports_what_its_image_was_built_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_engine()
    world = entered()
    described = await asyncio.to_thread(made_from_a_lock, tmp_path)
    monkeypatch.setenv("AIRLOCK_ENVIRONMENTS_DIR", str(tmp_path))

    node = f"ctr -a {CONTAINERD} -n k8s.io"
    await asyncio.to_thread(image, ["small"], base=ENGINE_BASE, node=[node], build_options="--network host")
    reference = capsys.readouterr().out.split('reference = "')[1].split('"')[0]
    printed = await ran_in(world, reference, described, "import six\nprint(six.__version__)\n")

    assert printed == ["1.17.0"]


def made_from_a_lock(directory: Path) -> Environment:
    """An environment of the system's Python, described as `airlock environments make` describes it."""
    python = directory / "small" / "bin" / "python"
    subprocess.run(["/usr/bin/python3", "-m", "venv", str(directory / "small")], check=True)
    requirements = lock_of(directory, "small")
    requirements.write_text(LOCK)
    installing = ["-m", "pip", "--quiet", "install", "--require-hashes", "-r", str(requirements)]
    subprocess.run([python, *installing], check=True)
    described = describe_environment("small", python, "")
    (directory / "small.json").write_text(described.model_dump_json())
    return described


async def ran_in(world: World, reference: str, environment: Environment, script: str) -> list[str]:
    """What a script printed in a pod of an image."""
    images = {"small": PodImage(reference=reference, python=PYTHON, roots=("/opt/environment",))}
    placement = world.placement().model_copy(update={"images": images})
    seen = Seen()
    async with KubernetesSandbox.opened(world.kubeconfig, placement, {"small": environment}) as sandbox:
        report = await seen.run(sandbox, a_run(script, environment="small"))
    assert report.isolation.backend is Backend.KUBERNETES
    return seen.lines
