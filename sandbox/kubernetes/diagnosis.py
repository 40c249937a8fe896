"""Why a pod ended or cannot start, and whose doing it was: every cause, what it means for the run, and how it shows.

A pod says several things at once: an evicted one also says exit code 137, and one whose child was killed for memory
says "Succeeded" with exit code 0. So the looks have an order, and the first that sees something is right. Nothing here
asks or waits: a view of a pod goes in, a value comes out. The words of kubelets are read in this file alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from domain.errors import (
    ImageUnavailable,
    NodeLost,
    PlatformError,
    PodRefused,
    RunnerLost,
    SandboxUnavailable,
    Unschedulable,
)
from domain.outcomes import RunOutcome
from domain.values import Value
from sandbox.kubernetes.pod_view import PodView


class Cause(StrEnum):
    """What happened to the pod."""

    # It has ended, or is being ended
    DELETED = "the pod was deleted by somebody else"
    """Where we did it ourselves, the caller knows and need not ask."""
    EVICTED = "the pod was evicted for the disk it used"
    DISPLACED = "the cluster displaced the pod"
    """Its node needed the room or is being emptied, or another pod came first: not the script's doing."""
    DEADLINE = "the pod outlived its deadline, so its runner had stopped counting"
    """The kubelet's dead man's switch, which is set later than the run's own timeout."""
    OUT_OF_MEMORY = "the pod was killed for the memory it used"
    START_ERROR = "the container could not be started"
    EXITED = "the runner left without a receipt"
    """With one the receipt says how the script ended, and nobody asks here."""
    # It does not start
    IMAGE = "the image cannot be had on the node"
    CONFIGURATION = "something that the pod mounts or reads is missing"
    UNSCHEDULABLE = "no node takes the pod"
    SANDBOX = "the node cannot build the pod's sandbox"
    # Nobody answers for it
    NODE_LOST = "the node of the pod does not answer"


FATES: Mapping[Cause, RunOutcome | type[PlatformError]] = MappingProxyType(
    {
        Cause.DELETED: RunnerLost,
        Cause.EVICTED: RunOutcome.DISK_LIMIT,
        Cause.DISPLACED: RunnerLost,
        Cause.DEADLINE: RunOutcome.TIMED_OUT,
        Cause.OUT_OF_MEMORY: RunOutcome.MEMORY_LIMIT,
        Cause.START_ERROR: SandboxUnavailable,
        Cause.EXITED: RunnerLost,
        Cause.IMAGE: ImageUnavailable,
        Cause.CONFIGURATION: SandboxUnavailable,
        Cause.UNSCHEDULABLE: Unschedulable,
        Cause.SANDBOX: SandboxUnavailable,
        Cause.NODE_LOST: NodeLost,
    }
)
"""Every cause, and whose doing it was: an outcome is how the script ended, an error is how we failed."""


class Diagnosis(Value):
    """What became of a pod."""

    cause: Cause
    words: str
    """What the cluster said. Parts of it may stem from the script: escape it."""
    exit_code: int | None = None
    may_pass: bool = False
    """Whether it may yet turn out well: the start deadlines decide."""

    @property
    def outcome(self) -> RunOutcome | None:
        """How the script ended, as far as the cluster can tell. None where the platform failed."""
        fate = FATES[self.cause]
        return fate if isinstance(fate, RunOutcome) else None

    def as_error(self) -> PlatformError:
        """Our failure. Of a script's own fate only that it left nothing behind."""
        fate = FATES[self.cause]
        return (RunnerLost if isinstance(fate, RunOutcome) else fate)(self.cause.value, self.words)


def diagnose(pod: PodView) -> Diagnosis | None:
    """Why this pod ended or cannot start; None while nothing is wrong."""
    return (
        evicted(pod)
        or displaced(pod)
        or deleted(pod)
        or past_its_deadline(pod)
        or out_of_memory(pod)
        or start_error(pod)
        or exited(pod)
        or image_unavailable(pod)
        or configuration_missing(pod)
        or unschedulable(pod)
        or sandbox_failed(pod)
        or node_lost(pod)
    )


_DISPLACED_REASONS = frozenset({"Evicted", "Preempting", "Terminated", "NodeShutdown", "NodeAffinity"})
_OWN_DISK = ("ephemeral local storage usage exceeds", "exceeded its local ephemeral storage limit", "emptydir volume")
"""Never the resource's bare name: a node that runs low on it says that too."""
_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ErrImageInspect"}
)
_PASSING_WORDS = (
    "toomanyrequests",
    "too many requests",
    "rate limit",
    "pull qps exceeded",
    "internal server error",
    "bad gateway",
    "service unavailable",
    "gateway timeout",
    "i/o timeout",
    "tls handshake timeout",
)
"""An image that cannot be pulled for one of these may be there a moment later. Phrases, never a status's bare number:
the same words name the image, and a port, a tag or a digest holds any number."""
_CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})


def evicted(pod: PodView) -> Diagnosis | None:
    """By its kubelet. For its own disk it is the script's fate; for the node's need it is ours."""
    if pod.reason not in _DISPLACED_REASONS:
        return None
    if any(words in pod.message.lower() for words in _OWN_DISK):
        return Diagnosis(cause=Cause.EVICTED, words=pod.message)
    return Diagnosis(cause=Cause.DISPLACED, words=pod.message or pod.reason)


def displaced(pod: PodView) -> Diagnosis | None:
    """By an eviction, a preemption or a taint: then the pod is deleted, and its runner leaves without a receipt.

    What ended before that, for the memory it used, did not end for it.
    """
    if pod.disruption is None or out_of_memory(pod) is not None:
        return None
    return Diagnosis(cause=Cause.DISPLACED, words=pod.disruption)


def deleted(pod: PodView) -> Diagnosis | None:
    """Gone without having ended, or being deleted while it runs."""
    if not (pod.gone or pod.deleting) or pod.terminated is not None:
        return None
    return Diagnosis(cause=Cause.DELETED, words=pod.message)


def past_its_deadline(pod: PodView) -> Diagnosis | None:
    """`activeDeadlineSeconds`, which the container's own state shows as an error like any other."""
    if pod.reason != "DeadlineExceeded":
        return None
    return Diagnosis(cause=Cause.DEADLINE, words=pod.message)


def out_of_memory(pod: PodView) -> Diagnosis | None:
    """Of the runner or of any child: the exit code says 137 or 0, and the reason is the same."""
    if pod.terminated is None or pod.terminated.reason != "OOMKilled":
        return None
    words = Cause.OUT_OF_MEMORY.value  # the cluster has none
    return Diagnosis(cause=Cause.OUT_OF_MEMORY, words=words, exit_code=pod.terminated.exit_code)


def start_error(pod: PodView) -> Diagnosis | None:
    """The runtime could not start the command: nothing of the script has run."""
    if pod.terminated is None or pod.terminated.reason not in {"StartError", "ContainerCannotRun"}:
        return None
    return Diagnosis(cause=Cause.START_ERROR, words=pod.terminated.message)


def exited(pod: PodView) -> Diagnosis | None:
    """The runner ended. How the script did is in its receipt; without one nobody knows."""
    if pod.terminated is not None:
        return Diagnosis(cause=Cause.EXITED, words=pod.terminated.message, exit_code=pod.terminated.exit_code)
    if pod.phase in {"Succeeded", "Failed"}:
        return Diagnosis(cause=Cause.EXITED, words=pod.message or pod.reason)
    return None


def image_unavailable(pod: PodView) -> Diagnosis | None:
    """At once, unless the registry's words sound as if it were only busy."""
    if pod.waiting is None or pod.waiting.reason not in _IMAGE_REASONS:
        return None
    words = f"{pod.waiting.reason}: {pod.waiting.message}"
    may_pass = any(each in words.lower() for each in _PASSING_WORDS)
    return Diagnosis(cause=Cause.IMAGE, words=words, may_pass=may_pass)


def configuration_missing(pod: PodView) -> Diagnosis | None:
    """A missing volume shows in the events alone, while the container is "ContainerCreating" for ever."""
    if pod.waiting is None:
        return None
    if pod.waiting.reason in _CONFIG_REASONS:
        return Diagnosis(cause=Cause.CONFIGURATION, words=f"{pod.waiting.reason}: {pod.waiting.message}")
    return _told_by_an_event(pod, Cause.CONFIGURATION, {"FailedMount", "FailedAttachVolume"})


def unschedulable(pod: PodView) -> Diagnosis | None:
    """Room may come: the deadline for scheduling decides."""
    if pod.unschedulable is None or pod.node is not None:
        return None
    return Diagnosis(cause=Cause.UNSCHEDULABLE, words=pod.unschedulable, may_pass=True)


def sandbox_failed(pod: PodView) -> Diagnosis | None:
    """No such runtime, no user namespaces, no network: the kubelet tries again, so that it may pass."""
    if pod.waiting is None and pod.phase != "Pending":
        return None
    return _told_by_an_event(pod, Cause.SANDBOX, {"FailedCreatePodSandBox"})


def node_lost(pod: PodView) -> Diagnosis | None:
    """A running container without probes that is not ready: only the node controller writes that. It may come back."""
    if not (pod.running and pod.ready is False):
        return None
    return Diagnosis(cause=Cause.NODE_LOST, words=f"node {pod.node} is not ready", may_pass=True)


def refusal(code: int, words: str) -> PlatformError:
    """What it means that the API server refused to create a pod. Of what it forbids a full quota alone may pass."""
    if code == 401:
        return SandboxUnavailable("the cluster does not know this worker's user, or not any more", words)
    if code == 404 or "is being terminated" in words:
        return SandboxUnavailable("the namespace of the pod is not there, or is being removed", words)
    if code == 403 and "exceeded quota" in words:
        return Unschedulable("the namespace's quota is used up", words)
    if code == 403 and "forbidden: User" in words:
        return PodRefused("this worker may not create pods in the namespace", words)
    return PodRefused("the cluster's own policy refuses the pod", words)


def _told_by_an_event(pod: PodView, cause: Cause, reasons: set[str]) -> Diagnosis | None:
    for trouble in pod.troubles:
        if trouble.reason in reasons:
            return Diagnosis(cause=cause, words=f"{trouble.reason}: {trouble.message}", may_pass=True)
    return None
