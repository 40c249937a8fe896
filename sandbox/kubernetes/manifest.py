"""The manifest of a run's pod: the reviewed profile (sandbox/profiles/pod.yaml) with what differs from run to run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from domain.runs import RunRequest
from domain.values import Value
from sandbox.code_pack import BOOT, INTERPRETER_FLAGS

PROFILE = Path(__file__).parent.parent / "profiles" / "pod.yaml"
LABEL_MANAGED_BY, MANAGED_BY = "app.kubernetes.io/managed-by", "airlock"
LABEL_EXECUTION = "airlock/execution"
LABEL_PURPOSE = "airlock/purpose"
ANNOTATION_RUN = "airlock/run"
ANNOTATION_SPEC = "airlock/spec-sha256"
ANNOTATION_LASTING = "airlock/lasting-sha256"
ANNOTATION_LEASE = "airlock/lease-until"
ANNOTATION_ATTEMPT = "airlock/attempt"
"""Who created it: a name that is taken may be our own, from a request whose answer was lost."""
SELECTOR = f"{LABEL_MANAGED_BY}={MANAGED_BY}"

RUNNER_MEMORY_BYTES = 64 << 20
"""For the runner itself, on top of what the script may have."""
LOG_BYTES = 128 << 20
"""Ephemeral storage. Only the log is written there; a kubelet keeps at most five files of `containerLogMaxSize`."""
START_SECONDS = 180
"""From creation to the script's first line: scheduling and the image each have a shorter deadline of their own."""
DEADLINE_SLACK_SECONDS = 30
"""The kubelet's clock starts when it takes the pod and stands behind the runner's own."""
_UID_BASE, _UID_COUNT = 1_000_000_000, 1_000_000_000
"""RLIMIT_NPROC counts per uid on the whole node, so that each run has its own."""
_LASTING = (
    "restartPolicy",
    "activeDeadlineSeconds",
    "terminationGracePeriodSeconds",
    "serviceAccountName",
    "automountServiceAccountToken",
    "runtimeClassName",
    "hostUsers",
)
_LASTING_OF_CONTAINER = ("name", "image", "command", "args", "env", "envFrom", "stdin", "stdinOnce")
_UID_IN_USER_NAMESPACE = 65532
"""With a user namespace of its own every pod may use the same, and higher ones are not mapped."""


class PodImage(Value):
    """What a script's environment is as an image."""

    reference: str = Field(pattern=r"^[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}$")
    """By digest: a tag may change between trial and execution."""
    python: str = "/usr/bin/python3"
    """The interpreter in it, of the same minor version as the environment's on the worker: our code comes compiled."""
    roots: tuple[str, ...] = ()
    """Directories that the interpreter needs besides the system's own."""


class Toleration(Value):
    """A taint of the nodes for scripts."""

    key: str
    operator: str = "Exists"
    effect: str = "NoSchedule"


class Placement(Value):
    """What the operator's cluster gives. What is asked for here and is not there is refused by the cluster."""

    namespace: str
    images: dict[str, PodImage]
    """The allow-list: by the environment's name."""
    image_pull_policy: str = "IfNotPresent"
    """`Never` for images that are put on nodes by hand."""
    runtime_class: str | None = None
    """None: the node's default runtime, which is the host's kernel."""
    user_namespace: bool = False
    """Whether pods get a user namespace of their own (containerd 2, Linux 6.3)."""
    strict_groups: bool = False
    """Whether a pod is in no group that its image's own files name (containerd 2); no image of ours names one."""
    apparmor: bool = False
    """Whether a pod has the runtime's own profile, on nodes with AppArmor."""
    priority_class: str | None = None
    """A low one that displaces nobody: `airlock-scripts` of deploy/kubernetes is."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    doors: tuple[Annotated[str, Field(pattern=r"^[0-9a-fA-F.:\[\]]+:[0-9]{1,5}$")], ...] = ()
    """Addresses with ports that no run may reach, besides its node, the API server and the cloud's metadata. Each run
    asks all of them before it begins, and is refused where one answers."""


def pod_name(run_id: str) -> str:
    """The same for every attempt at a run, so that a second one meets the first."""
    return f"ev-{execution_hash(run_id)}"


def execution_hash(run_id: str) -> str:
    """A label's worth of a run id."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:40]


def run_uid(run_id: str, placement: Placement) -> int:
    """The user of a run."""
    if placement.user_namespace:
        return _UID_IN_USER_NAMESPACE
    return _UID_BASE + int(execution_hash(run_id), 16) % _UID_COUNT


def active_deadline_seconds(request: RunRequest) -> int:
    """The kubelet's dead man's switch: later than the runner's own clock, earlier than the worker's."""
    return math.ceil(request.timeout_seconds) + DEADLINE_SLACK_SECONDS


def manifest(request: RunRequest, placement: Placement, attempt: str, now: datetime) -> dict[str, Any]:
    """The whole pod. Raises KeyError where the environment has no image here."""
    pod = deepcopy(_profile())
    pod["spec"] = _spec(pod["spec"], request, placement)
    lease = now + timedelta(seconds=START_SECONDS + active_deadline_seconds(request))
    metadata = pod["metadata"]
    metadata["name"] = pod_name(request.run_id)
    metadata["namespace"] = placement.namespace
    metadata["labels"] |= {
        LABEL_EXECUTION: execution_hash(request.run_id),
        LABEL_PURPOSE: request.purpose.value,
    }
    metadata["annotations"] |= {
        ANNOTATION_RUN: request.run_id,
        ANNOTATION_SPEC: spec_sha256(pod["spec"]),
        ANNOTATION_LASTING: lasting_sha256(pod["spec"]),
        ANNOTATION_ATTEMPT: attempt,
        ANNOTATION_LEASE: lease.isoformat(timespec="seconds"),
    }
    return pod


def spec_sha256(spec: Mapping[str, Any]) -> str:
    """Whether two pods of one name were meant to be the same."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def lasting_sha256(spec: Mapping[str, Any]) -> str:
    """Of what a cluster leaves as it was ordered, and whose change would make another run of it."""
    lasting = {name: spec.get(name) for name in _LASTING}
    # Of a container the cluster keeps nothing that is false or empty
    containers = [[each.get(name) or None for name in _LASTING_OF_CONTAINER] for each in spec["containers"]]
    beside = [*(spec.get("initContainers") or ()), *(spec.get("ephemeralContainers") or ())]
    return spec_sha256({**lasting, "containers": containers, "beside": len(beside)})


def _spec(spec: dict[str, Any], request: RunRequest, placement: Placement) -> dict[str, Any]:
    image = placement.images[request.environment]
    uid = run_uid(request.run_id, placement)
    spec["activeDeadlineSeconds"] = active_deadline_seconds(request)
    spec["securityContext"] |= {"runAsUser": uid, "runAsGroup": uid, **_confined(placement)}
    spec["tolerations"] += [each.model_dump() for each in placement.tolerations]
    spec |= _as_configured(placement)
    spec["volumes"][0]["emptyDir"]["sizeLimit"] = str(request.limits.disk_bytes)  # counts as memory
    container = spec["containers"][0]
    container["image"] = image.reference
    container["command"] = [image.python, *INTERPRETER_FLAGS, "-c", BOOT]  # process 1 is the runner, never the script
    container["imagePullPolicy"] = placement.image_pull_policy
    container["resources"] = _resources(container["resources"], request)
    return spec


def _as_configured(placement: Placement) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "runtimeClassName": placement.runtime_class,
        "hostUsers": False if placement.user_namespace else None,
        "priorityClassName": placement.priority_class,
        "nodeSelector": placement.node_selector or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _confined(placement: Placement) -> dict[str, Any]:
    groups = {"supplementalGroupsPolicy": "Strict"} if placement.strict_groups else {}
    return groups | ({"appArmorProfile": {"type": "RuntimeDefault"}} if placement.apparmor else {})


def _resources(resources: dict[str, Any], request: RunRequest) -> dict[str, Any]:
    memory = request.limits.memory_bytes + request.limits.disk_bytes + RUNNER_MEMORY_BYTES
    bounded = {"memory": str(memory), "ephemeral-storage": str(LOG_BYTES)}
    return {"requests": resources["requests"] | bounded, "limits": resources["limits"] | bounded}


def _profile() -> dict[str, Any]:
    return yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
