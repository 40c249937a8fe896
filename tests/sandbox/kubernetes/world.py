"""A real cluster for tests: Airlock's objects on it, an image on its node, and kubeconfigs for its roles."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.environments import Environment
from sandbox.kubernetes.manifest import Placement, PodImage

ROOT = Path(__file__).parents[3]
TOOLS = ROOT.parent / "shared" / "cluster"
NODE = Path("/var/lib/airlock-cluster/images/python")
SHARED = (Path("/usr/lib/locale/C.utf8"), Path("/usr/share/zoneinfo"))
CONTAINERD = "/run/airlock-cluster/containerd.sock"
LAPTOP = ROOT / "deploy" / "kubernetes" / "laptop"
TRIALS, EXECUTIONS = "airlock-trials", "airlock-executions"
ENVIRONMENTS = {"default": Environment(name="default", python="/usr/bin/python3", digest="0" * 64)}


@dataclass(frozen=True)
class World:
    """The cluster, as its administrator."""

    kubeconfig: Path
    image: str

    def placement(self, namespace: str = EXECUTIONS, **parts: Any) -> Placement:
        images = {"default": PodImage(reference=self.image)}
        given = {"namespace": namespace, "images": images, "image_pull_policy": "Never", **parts}
        return Placement.model_validate(given)

    def kubectl(self, *words: str, given: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", *words],
            input=None if given is None else json.dumps(given),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def read(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", kind, "-n", namespace, name, "-o", "json").stdout)

    def is_empty(self, namespace: str, within: float) -> bool:
        """Whether the last pod there goes within some seconds."""
        until = time.monotonic() + within
        while left := self.kubectl("get", "pods", "-n", namespace, "-o", "name").stdout:
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return not left

    def remove_pod(self, namespace: str, name: str) -> None:
        """Have a pod ended, where it is there yet: nobody waits for that."""
        self.kubectl("delete", "pod", "-n", namespace, name, "--ignore-not-found", "--grace-period=1", "--wait=false")

    def as_role(self, account: str, directory: Path, *, of: str = "airlock") -> Path:
        """A kubeconfig that is a service account and nothing more."""
        token = self.kubectl("create", "token", account, "-n", of).stdout.strip()
        given = json.loads(self.kubectl("config", "view", "--raw", "--flatten", "-o", "json").stdout)
        given["users"] = [{"name": "role", "user": {"token": token}}]
        given["contexts"][0]["context"]["user"] = "role"
        file = directory / f"{account}.kubeconfig"
        file.write_text(json.dumps(given))
        return file


def entered() -> World:
    """The world that KUBECONFIG names. Skips, or fails where a cluster is required."""
    named = os.environ.get("KUBECONFIG")
    if not named:
        words = "KUBECONFIG names no cluster"
        if os.environ.get("AIRLOCK_REQUIRE_CLUSTER") == "1":
            pytest.fail(words)
        pytest.skip(words)
    world = World(Path(named), os.environ.get("AIRLOCK_TEST_IMAGE") or _image_on_the_node())
    applied = world.kubectl("apply", "-k", str(LAPTOP))
    assert applied.returncode == 0, applied.stderr
    return world


@contextmanager
def namespace_of_its_own(world: World, like: str = TRIALS) -> Generator[str]:
    """A copy of a namespace for scripts, with all that guards it. Others use the cluster at the same time."""
    name = f"airlock-test-{secrets.token_hex(4)}"
    make_namespace(world, name, like)
    try:
        yield name
    finally:
        world.kubectl("delete", "namespace", name, "--wait=false")


def make_namespace(world: World, name: str, like: str = TRIALS) -> None:
    """That copy, under a name."""
    rendered = world.kubectl("kustomize", str(LAPTOP))
    objects = [_moved(each, like, name) for each in yaml.safe_load_all(rendered.stdout) if _belongs(each, like)]
    made = world.kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})
    assert made.returncode == 0, made.stderr


def _belongs(each: Mapping[str, Any], namespace: str) -> bool:
    if each["kind"] == "Namespace":
        return each["metadata"]["name"] == namespace
    return each["metadata"].get("namespace") == namespace and not each["kind"].startswith("Role")


def _moved(each: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return json.loads(json.dumps(each).replace(f'"{old}"', f'"{new}"'))


@cache
def _image_on_the_node() -> str:
    """Made once, without a registry. Elsewhere AIRLOCK_TEST_IMAGE names one that the cluster has, by digest."""
    tag = "localhost/airlock/default:test"
    with tempfile.TemporaryDirectory(prefix="airlock-image-") as place:
        root = Path(place) / "root"
        shutil.copytree(NODE, root, symlinks=True)
        for each in filter(Path.exists, SHARED):
            shutil.copytree(each, root / each.relative_to("/"), symlinks=True, dirs_exist_ok=True)
        making = [str(TOOLS / "image"), tag, str(root), "/usr/bin/python3"]
        made = subprocess.run(making, capture_output=True, text=True, check=True)
    reference = f"localhost/airlock/default@{made.stdout.strip()}"
    tagging = ["ctr", "-a", CONTAINERD, "-n", "k8s.io", "images", "tag", "--force", tag, reference]
    subprocess.run(tagging, capture_output=True, check=True)
    return reference
