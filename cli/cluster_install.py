"""`airlock admin install-cluster`: Airlock's objects and workers on a cluster, by kubectl, from one readable folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from cli.exit_codes import ExitCode
from cli.session import Failed, tell
from cli.settings import operator_settings
from sandbox.kubernetes.cluster_file import UnusableClusterFile, read_cluster_file

DEPLOY = Path(__file__).parent.parent / "deploy" / "kubernetes"
WORKERS = ("validation", "execution", "monitor")
"""The roles that hold rights in the cluster."""
KUBECTL_SECONDS = 300
TOKEN_HOURS = 24 * 365
"""Of a kubeconfig for a worker beside the cluster; a cluster may give less."""
READY_SECONDS = 120

Overlay = Annotated[Path, typer.Option(help="The kustomize overlay of this cluster.", file_okay=False, exists=True)]
Kubeconfig = Annotated[Path | None, typer.Option(help="Whose cluster; default: kubectl's own.", dir_okay=False)]
Secrets = Annotated[
    Path | None,
    typer.Option(
        help="Directory of the files airlock_database_url_ROLE: run the workers in the cluster.", file_okay=False
    ),
]
ClusterToml = Annotated[Path | None, typer.Option(help="The workers' cluster file.", dir_okay=False, exists=True)]
Temporal = Annotated[str | None, typer.Option(help="Temporal as pods reach it, host:port.")]
Image = Annotated[str, typer.Option(help="The image of Airlock's processes.")]
Kubeconfigs = Annotated[
    Path | None,
    typer.Option(help="Write a kubeconfig for each role there: workers run beside the cluster.", file_okay=False),
]


def install_cluster(
    *,
    overlay: Overlay = DEPLOY / "laptop",
    kubeconfig: Kubeconfig = None,
    secrets: Secrets = None,
    cluster_file: ClusterToml = None,
    temporal: Temporal = None,
    image: Image = "airlock:local",
    kubeconfigs: Kubeconfigs = None,
) -> None:
    """Put Airlock's objects on a cluster.

    And its workers, where --secrets is given. Repeat it with every release.
    """
    kubectl = Kubectl(kubeconfig)
    namespace = _namespace_of_accounts(kubectl, overlay)
    folder = _folder()
    if secrets is None:
        _make_folder(folder)
        _write_kustomization(folder, [overlay], {})
    elif cluster_file is None or temporal is None:
        raise Failed("Workers in the cluster need --cluster-file and --temporal too.", ExitCode.USAGE)
    else:
        _check_sources(secrets, cluster_file)
        _make_folder(folder)
        told = _told_to_workers(folder, namespace, secrets, cluster_file, temporal, image)
        _write_kustomization(folder, [overlay, overlay.parent / "workers"], told)
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(folder))
    tell(f"The objects of {overlay} are on the cluster, as {folder} says.")
    if secrets is not None:
        for role in WORKERS:
            _await_worker(kubectl, role, namespace)
        tell(f"The workers are ready: {', '.join(WORKERS)}.")
    if kubeconfigs is not None:
        for role in WORKERS:
            _write_kubeconfig(kubectl, kubeconfigs, role, namespace)
        tell(f"Each role has its kubeconfig in {kubeconfigs}.")


def uninstall_cluster(*, kubeconfig: Kubeconfig = None) -> None:
    """Remove Airlock's objects from a cluster.

    All that install-cluster put there; the pods of runs go with it.
    """
    folder = _folder()
    if not (folder / "kustomization.yaml").exists():
        raise Failed(f"Nothing was installed from here: there is no {folder}.", ExitCode.NOT_FOUND)
    Kubectl(kubeconfig).run("delete", "--ignore-not-found", "--wait", "-k", str(folder))
    shutil.rmtree(folder)
    tell("The cluster has nothing of Airlock's any more.")


class Kubectl:
    """kubectl as its user has set it up, or with another kubeconfig."""

    def __init__(self, kubeconfig: Path | None) -> None:
        self._kubeconfig = kubeconfig
        if shutil.which("kubectl") is None:
            raise Failed("There is no kubectl on the PATH, and it is what speaks to the cluster.", ExitCode.UNAVAILABLE)

    def run(self, *words: str) -> str:
        """What it prints. Raises Failed with its last words."""
        options = () if self._kubeconfig is None else (f"--kubeconfig={self._kubeconfig}",)
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own kubectl
                ["kubectl", *options, *words],  # noqa: S607 - likewise
                capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Failed(f"kubectl {words[0]} did not end in {KUBECTL_SECONDS} s.", ExitCode.UNAVAILABLE) from error
        if done.returncode:
            raise Failed(f"kubectl {words[0]}: {done.stderr.strip()[-1500:]}", ExitCode.UNAVAILABLE)
        return done.stdout


def _folder() -> Path:
    return operator_settings().state_dir.absolute() / "cluster"


def _make_folder(folder: Path) -> None:
    """An empty one, closed to others: it holds the URLs of the database."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)


def _write_kustomization(folder: Path, objects: list[Path], told: dict[str, Any]) -> None:
    """One folder that `kubectl apply -k` takes, and somebody may read."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(each.resolve(), folder.resolve()) for each in objects],
        **told,
    }
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2), "utf-8")  # JSON is YAML


def _namespace_of_accounts(kubectl: Kubectl, overlay: Path) -> str:
    """Where the overlay has the accounts of the workers. Raises Failed."""
    for each in yaml.safe_load_all(kubectl.run("kustomize", str(overlay))):
        if each["kind"] == "ServiceAccount" and each["metadata"]["name"] == "airlock-execution":
            return each["metadata"]["namespace"]
    raise Failed(f"The overlay {overlay} has no account airlock-execution.", ExitCode.USAGE)


def _check_sources(secrets: Path, cluster_file: Path) -> None:
    """Raises Failed where what workers must be told is missing, or would lead them elsewhere."""
    try:
        described = read_cluster_file(cluster_file)
    except UnusableClusterFile as error:
        raise Failed(str(error), ExitCode.USAGE) from error
    if described.kubeconfig is not None:
        raise Failed(f"{cluster_file} names a kubeconfig; a worker in the cluster has its account.", ExitCode.USAGE)
    for role in WORKERS:
        if not (source := secrets / f"airlock_database_url_{role}").exists():
            raise Failed(f"There is no {source}: each worker has a database user of its own.", ExitCode.NOT_FOUND)


def _told_to_workers(
    folder: Path, namespace: str, secrets: Path, cluster_file: Path, temporal: str, image: str
) -> dict[str, Any]:
    """What ConfigMaps and Secrets are made of; their names end in a digest, so that a change restarts the workers."""
    shutil.copyfile(cluster_file, folder / "cluster.toml")
    for role in WORKERS:
        shutil.copyfile(secrets / f"airlock_database_url_{role}", folder / f"airlock_database_url_{role}")
    settings = {
        "AIRLOCK_TEMPORAL_ADDRESS": temporal,
        "AIRLOCK_TEMPORAL_NAMESPACE": operator_settings().temporal_namespace,
        "AIRLOCK_SANDBOX": "kubernetes",
        "AIRLOCK_CLUSTER_FILE": "/etc/airlock/cluster/cluster.toml",
        "AIRLOCK_ENVIRONMENTS_DIR": "/etc/airlock/environments",
        "AIRLOCK_STATE_DIR": "/var/lib/airlock/state",
        "AIRLOCK_READY_FILE": "/tmp/ready",  # noqa: S108 - the pod's own
    }
    literals = [f"{name}={value}" for name, value in settings.items()]
    name, _, tag = image.partition("@") if "@" in image else image.rpartition(":")
    how = "digest" if "@" in image else "newTag"
    return {
        "images": [{"name": "airlock", "newName": name, how: tag}],
        "configMapGenerator": [
            {"name": "airlock-settings", "namespace": namespace, "literals": literals},
            {"name": "airlock-cluster", "namespace": namespace, "files": ["cluster.toml"]},
        ],
        "secretGenerator": [
            {
                "name": f"airlock-database-{role}",
                "namespace": namespace,
                "files": [f"airlock_database_url=airlock_database_url_{role}"],
            }
            for role in WORKERS
        ],
    }


def _await_worker(kubectl: Kubectl, role: str, namespace: str) -> None:
    """Until it is ready. Raises Failed with what it says itself: a right that it lacks, a database that is away."""
    deployment = f"deployment/airlock-{role}"
    try:
        kubectl.run("rollout", "status", deployment, "-n", namespace, f"--timeout={READY_SECONDS}s")
    except Failed as failed:
        with suppress(Failed):  # it may not have started yet
            said = kubectl.run("logs", deployment, "-n", namespace, "--tail=1").strip()
            raise Failed(f"The worker {role} is not ready: {said or failed}", failed.code) from failed
        raise


def _write_kubeconfig(kubectl: Kubectl, directory: Path, role: str, namespace: str) -> None:
    """The cluster as the caller reaches it, and a token of the role's account in place of his own credentials."""
    token = kubectl.run("create", "token", f"airlock-{role}", "-n", namespace, f"--duration={TOKEN_HOURS}h").strip()
    given = json.loads(kubectl.run("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    given["users"] = [{"name": role, "user": {"token": token}}]
    given["contexts"][0]["context"]["user"] = role
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"kubeconfig_{role}"
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        json.dump(given, opened)
