"""A pod as the rest of Airlock sees it: the few parts of its JSON that tell what became of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from domain.values import Value
from sandbox.kubernetes.manifest import ANNOTATION_RUN, LABEL_MANAGED_BY, MANAGED_BY, lasting_sha256, pod_name

Json = Mapping[str, Any]
"""An object as the API wrote it."""

_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
MAX_WORDS = 500
"""Of any text that a kubelet or a runtime wrote: parts of it stem from the script."""


class Waiting(Value):
    """Why the container has not been started."""

    reason: str
    message: str = ""


class Terminated(Value):
    """How the container ended. `reason` comes before `exit_code`: a child's OOM shows exit code 0."""

    exit_code: int
    reason: str = ""
    message: str = ""


class Trouble(Value):
    """A warning among the pod's events. Some causes show nowhere else."""

    reason: str
    message: str = ""


class PodView(Value):
    """What is known of one pod. Read from the API's JSON; missing parts are None or empty, never an error."""

    name: str
    uid: str
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    node: str | None = None
    """None while no node has been chosen."""
    spec_sha256: str = ""
    """Of the whole spec as it is now, but for its node: in a pod that nobody touches it stays the same."""
    lasting_sha256: str = ""
    """Of what must be as it was ordered."""
    deadline_seconds: int | None = None
    """`activeDeadlineSeconds`: the kubelet's, from `started_at` on."""
    started_at: datetime | None = None
    """By the kubelet's clock. None before it has taken the pod."""
    phase: str = ""
    """Late by up to a second: decide by `waiting`, `running` and `terminated`."""
    reason: str = ""
    message: str = ""
    deleting: bool = False
    gone: bool = False
    """Whether the object has been removed: with a grace period of a second or more its processes are dead."""
    disruption: str | None = None
    """What the cluster itself ended the pod for (an eviction, a preemption, a taint); None where it did not."""
    unschedulable: str | None = None
    """The scheduler's words, None where it has found a node or not looked yet."""
    ready: bool | None = None
    """None before the kubelet has said anything."""
    waiting: Waiting | None = None
    running: bool = False
    terminated: Terminated | None = None
    restarts: int = 0
    troubles: tuple[Trouble, ...] = ()

    @property
    def run_id(self) -> str | None:
        """Whose pod it says it is. None where it does not say, or its name was not made of that."""
        said = self.annotations.get(ANNOTATION_RUN, "")
        return said if _RUN_ID.fullmatch(said) and pod_name(said) == self.name else None

    @property
    def is_ours(self) -> bool:
        """Whether it says that Airlock made it."""
        return self.labels.get(LABEL_MANAGED_BY) == MANAGED_BY

    @property
    def ended(self) -> bool:
        """Whether the container will never run again."""
        return self.terminated is not None or self.gone or self.phase in {"Succeeded", "Failed"}


def view_of(pod: Json, *, gone: bool = False) -> PodView:
    """Read a pod's JSON."""
    metadata, status = _object(pod, "metadata"), _object(pod, "status")
    containers = _objects(status, "containerStatuses")
    container: Json = containers[0] if containers else {}
    state = _object(container, "state")
    spec = _object(pod, "spec")
    conditions = {each.get("type"): each for each in _objects(status, "conditions")}
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready")
    disruption = conditions.get("DisruptionTarget", {})
    return PodView(
        name=metadata.get("name", ""),
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        labels=dict(_object(metadata, "labels")),
        annotations=dict(_object(metadata, "annotations")),
        node=spec.get("nodeName"),
        spec_sha256=_sha256(spec),
        lasting_sha256=lasting_sha256(spec) if "containers" in spec else "",
        deadline_seconds=spec.get("activeDeadlineSeconds"),
        started_at=status.get("startTime"),
        phase=status.get("phase") or "",
        reason=status.get("reason") or "",
        message=_words(status.get("message")),
        deleting="deletionTimestamp" in metadata,
        gone=gone,
        disruption=_words(_said(disruption)) if disruption.get("status") == "True" else None,
        unschedulable=_words(scheduled.get("message")) if scheduled.get("reason") == "Unschedulable" else None,
        ready=None if ready is None else ready.get("status") == "True",
        waiting=_waiting(state.get("waiting")),
        running="running" in state,
        terminated=_terminated(state.get("terminated")),
        restarts=container.get("restartCount") or 0,
    )


def with_events(view: PodView, events: Iterable[Json]) -> PodView:
    """The same pod, and the warnings about it."""
    troubles = tuple(
        Trouble(reason=event.get("reason") or "", message=_words(event.get("message")))
        for event in events
        if event.get("type") == "Warning"
    )
    return view.model_copy(update={"troubles": troubles})


def _waiting(state: Json | None) -> Waiting | None:
    if state is None:
        return None
    return Waiting(reason=state.get("reason") or "", message=_words(state.get("message")))


def _terminated(state: Json | None) -> Terminated | None:
    if state is None:
        return None
    return Terminated(
        exit_code=state.get("exitCode") or 0,
        reason=state.get("reason") or "",
        message=_words(state.get("message")),
    )


def _said(condition: Json) -> str:
    return f"{condition.get('reason') or ''}: {condition.get('message') or ''}"


def _sha256(spec: Json) -> str:
    lasting = {name: value for name, value in spec.items() if name != "nodeName"}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()


def _object(parent: Json, key: str) -> Json:
    return parent.get(key) or {}


def _objects(parent: Json, key: str) -> Sequence[Json]:
    return parent.get(key) or ()


def _words(text: str | None) -> str:
    return (text or "")[:MAX_WORDS]
