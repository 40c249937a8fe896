"""`airlock admin install-cluster` and `uninstall-cluster`, on a real cluster, in namespaces of their own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url

from sandbox.kubernetes.access import Access
from sandbox.kubernetes.cluster import Cluster
from storage.evaluations import Evaluations
from tests.deploy.processes_on_the_node import put_on_the_node
from tests.e2e.servers import ServerStack
from tests.sandbox.kubernetes.world import ROOT, TOOLS, World, entered

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
CLUSTER_WIDE = ("validatingadmissionpolicies", "validatingadmissionpolicybindings", "namespaces", "priorityclasses")
IN_CLUSTER = ("validation", "execution", "monitor")


@pytest.fixture(scope="module")
def world() -> World:
    return entered()


@dataclass
class Installation:
    """What an operator has: an overlay whose names are his own, and a directory for its state."""

    world: World
    name: str
    directory: Path

    @property
    def overlay(self) -> Path:
        return self.directory / "kubernetes" / "laptop"

    def airlock(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "AIRLOCK_STATE_DIR": str(self.directory / "state"),
        }
        command = [sys.executable, "-m", "cli", "admin", *words, f"--kubeconfig={self.world.kubeconfig}"]
        return subprocess.run(
            command, cwd=ROOT, env=own | settings, capture_output=True, text=True, check=False, timeout=400
        )

    def install(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return self.airlock("install-cluster", f"--overlay={self.overlay}", *words, **settings)

    def left(self) -> list[str]:
        """What of ours the cluster has outside namespaces; with a namespace all goes that is in it."""
        listed = self.world.kubectl("get", ",".join(CLUSTER_WIDE), "-o", "name").stdout.split()
        return [each for each in listed if self.name in each]

    def cluster_file(self) -> Path:
        file = self.directory / "cluster.toml"
        classes = "".join(
            f'[{name}]\nnamespace = "{self.name}-{name}"\nimage_pull_policy = "Never"\n'
            f'[{name}.images.default]\nreference = "{self.world.image}"\n'
            for name in ("trials", "executions")
        )
        file.write_text(f'namespace = "{self.name}"\n{classes}')
        return file


@contextmanager
def an_installation(world: World) -> Generator[Installation]:
    """The repository's objects under names of their own: others use the cluster at the same time."""
    name = f"airlock-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory(prefix="airlock-install-") as directory:
        made = Installation(world, name, Path(directory))
        shutil.copytree(ROOT / "deploy" / "kubernetes", made.overlay.parent)
        for file in made.overlay.parent.rglob("*.yaml"):
            text = re.sub(
                r"\bairlock-(trials|executions|scripts|script-connections)\b", rf"{name}-\1", file.read_text()
            )
            text = re.sub(r"(namespace: |serviceaccount:)airlock\b(?!-)", rf"\1{name}", text)
            text = re.sub(r'(airlock/scripts: )"true"', rf'\1"{name}"', text)
            file.write_text(re.sub(r"(kind: Namespace\nmetadata:\n  name: )airlock\n", rf"\1{name}\n", text))
        try:
            yield made
        finally:
            world.kubectl("delete", "--ignore-not-found", "--wait=false", "-k", str(made.overlay))


@pytest.fixture
def installation(world: World) -> Iterator[Installation]:
    with an_installation(world) as made:
        yield made


def test_what_is_installed_twice_is_there_once_and_what_is_removed_has_gone(installation: Installation) -> None:
    first = installation.install()
    there = installation.left()
    second = installation.install()
    again = installation.left()
    removed = installation.airlock("uninstall-cluster")

    assert (first.returncode, second.returncode, removed.returncode) == (0, 0, 0), second.stderr + removed.stderr
    assert len(there) == 8  # three namespaces, two policies and their bindings, a priority class
    assert again == there
    assert installation.left() == []
    assert not (installation.directory / "state" / "cluster").exists()


async def test_each_role_gets_a_kubeconfig_that_is_only_its_account(installation: Installation) -> None:
    keys = installation.directory / "keys"

    done = installation.install(f"--kubeconfigs={keys}")

    assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in keys.iterdir()) == sorted(f"kubeconfig_{role}" for role in IN_CLUSTER)
    assert {each.stat().st_mode & 0o777 for each in keys.iterdir()} == {0o600}
    assert "client-key-data" not in (keys / "kubeconfig_execution").read_text()
    async with Cluster.connect(keys / "kubeconfig_execution") as cluster:
        wanted = {
            namespace: await cluster.may(Access(verb="create", resource="pods", namespace=namespace))
            for namespace in (f"{installation.name}-executions", f"{installation.name}-trials", "default")
        }
    assert list(wanted.values()) == [True, False, False]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--secrets={}",), "need --cluster-file and --temporal"),
        (("--secrets={}", "--temporal=t:7233", "--cluster-file={}/kubeconfig.toml"), "names a kubeconfig"),
        (("--secrets={}", "--temporal=t:7233", "--cluster-file={}/cluster.toml"), "There is no"),
        (("--overlay={}/empty",), "kubectl kustomize"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_applied(
    words: tuple[str, ...], said: str, installation: Installation
) -> None:
    good = installation.cluster_file()
    (installation.directory / "kubeconfig.toml").write_text(f'kubeconfig = "/k"\n{good.read_text()}')
    (installation.directory / "empty").mkdir()

    done = installation.install(*(word.format(installation.directory) for word in words))

    assert done.returncode not in {0, 1}
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert installation.left() == []


def test_what_was_never_installed_is_not_removed(installation: Installation) -> None:
    done = installation.airlock("uninstall-cluster")

    assert done.returncode == 4
    assert "Nothing was installed from here" in done.stderr


@dataclass
class PodStack(ServerStack):
    """A team's set-up whose untrusted work is done in the cluster: API, orchestrator and records run beside it."""

    def _add_parts(self) -> None:
        super()._add_parts()
        beside = ("requests", "orchestrator", "records")
        self.parts = {name: part for name, part in self.parts.items() if name.rpartition("-")[0] in beside}


@asynccontextmanager
async def reachable_from_pods(port: int) -> AsyncGenerator[str]:
    """A server of the loopback at the node's own address."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copied(reader, inner_writer))
                group.create_task(_copied(inner_reader, writer))
        except* OSError:
            pass

    address = (Path("/var/lib/airlock-cluster") / "node-ip").read_text().strip()
    server = await asyncio.start_server(pass_on, address, 0, family=socket.AF_INET)
    try:
        yield f"{address}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.mark.roles
async def test_an_evaluation_goes_through_the_workers_that_were_installed(world: World) -> None:
    if not TOOLS.exists():
        pytest.skip("The shared cluster's folder is not there: Airlock's own image cannot be put on a node.")
    image = await asyncio.to_thread(put_on_the_node)
    with an_installation(world) as installation, tempfile.TemporaryDirectory(prefix="airlock-roles-") as directory:
        stack = PodStack(Path(directory), each=1)
        async with AsyncExitStack() as lifetimes:
            lifetimes.push_async_callback(asyncio.to_thread, stack.take_away)
            await lifetimes.enter_async_context(stack)
            database = make_url(stack.database_url)
            postgres = await lifetimes.enter_async_context(reachable_from_pods(database.port or 5432))
            temporal = await lifetimes.enter_async_context(
                reachable_from_pods(int(stack.temporal_address.rpartition(":")[2]))
            )
            lead_to_the_api_server(
                installation, await lifetimes.enter_async_context(reachable_from_pods(api_port(world)))
            )
            for role in IN_CLUSTER:
                host, _, port = postgres.rpartition(":")
                url = make_url(stack.url_of(role)).set(host=host, port=int(port)).render_as_string(hide_password=False)
                (installation.directory / f"airlock_database_url_{role}").write_text(url)
            words = (
                f"--secrets={installation.directory}",
                f"--cluster-file={installation.cluster_file()}",
                f"--temporal={temporal}",
                f"--image={image}",
            )
            done = await asyncio.to_thread(installation.install, *words, AIRLOCK_TEMPORAL_NAMESPACE=stack.namespace)
            assert done.returncode == 0, done.stderr + told_by(world, installation.name)
            monitors = world.read("deployment", installation.name, "airlock-monitor")["status"]["readyReplicas"]

            evaluation_id = await stack.submit("def evaluate_model(model):\n    return {'words': 2}\n")
            record = (await stack.ended([evaluation_id]))[0]
            result = await Evaluations(stack.database).result(record)
            removed = await asyncio.to_thread(installation.airlock, "uninstall-cluster")

    assert monitors == 2
    assert record.status.value == "completed", record
    assert result == {"words": 2}
    assert removed.returncode == 0, removed.stderr
    assert installation.left() == []


def api_port(world: World) -> int:
    server = world.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}").stdout
    return int(server.rpartition(":")[2])


def lead_to_the_api_server(installation: Installation, address: str) -> None:
    """This cluster has no proxy for the addresses of services."""
    host, _, port = address.rpartition(":")
    workers = installation.overlay.parent / "workers" / "workers.yaml"
    there = (
        f"env: [{{name: KUBERNETES_SERVICE_HOST, value: {host}}}, {{name: KUBERNETES_SERVICE_PORT, value: '{port}'}}]"
    )
    workers.write_text(workers.read_text().replace("          envFrom:\n", f"          {there}\n          envFrom:\n"))


def told_by(world: World, namespace: str) -> str:
    """Pods that do not become ready, and their last words."""
    pods = json.loads(world.kubectl("get", "pods", "-n", namespace, "-o", "json").stdout)["items"]
    ends = [each["lastState"] for pod in pods for each in pod["status"].get("containerStatuses", ())]
    of_all = ("-n", namespace, "-l", "app.kubernetes.io/part-of=airlock", "--tail=20")
    return f"{ends}\n{world.kubectl('logs', *of_all).stdout}\n{world.kubectl('logs', '--previous', *of_all).stdout}"
