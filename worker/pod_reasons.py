"""What is seen of a pod, and what the monitor does about it: one table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from domain.lifecycle import is_terminal
from sandbox.kubernetes.manifest import (
    ANNOTATION_LASTING,
    ANNOTATION_LEASE,
    LABEL_MANAGED_BY,
)
from sandbox.kubernetes.pod_view import PodView
from sandbox.kubernetes.walls import Wall
from storage.oversight import RunOwner
from worker.reasons import Reason, Seen, why_to_end

DEADLINE_SLACK = timedelta(seconds=5)
"""The kubelet enforces a pod's deadline itself, and may lag two to four seconds behind it."""
PROVEN_WITHIN = timedelta(seconds=30)
"""From when a container was seen to run: its self-check takes well below a second."""
CLOCKS_DIFFER_BY = timedelta(seconds=60)
"""At most, between machines. A time that another machine wrote down counts only when it is this long past."""


class Act(StrEnum):
    """What is done about a run that must not be alive."""

    STOP = "stop"
    """Signal `emergency_stop`, and kill what is alive 2 s later: its evaluation goes on otherwise."""
    KILL = "kill"
    """Kill at once: nobody is left to be told, or whoever was told has had the time."""


ACTS: Mapping[Reason, Act] = MappingProxyType(
    {
        Reason.STOP_ORDERED: Act.KILL,
        Reason.ENDED: Act.KILL,
        Reason.OWNERLESS: Act.KILL,
        Reason.WORKER_GONE: Act.KILL,
        Reason.OVERDUE: Act.KILL,
        Reason.RESTARTED: Act.STOP,
        Reason.CHANGED: Act.STOP,
        Reason.DEADLINE_PASSED: Act.STOP,
        Reason.LEASE_EXPIRED: Act.STOP,
        Reason.UNPROVEN: Act.STOP,
        Reason.NETWORK_OPEN: Act.STOP,
        Reason.UNBOUNDED: Act.STOP,
    }
)
"""The act for every reason."""


class PodSeen(Seen):
    """What this monitor itself has seen of a pod: it does not depend on what the pod says of itself later."""

    def __init__(self, pod: PodView, at: datetime) -> None:
        super().__init__(at)
        self.run_id = pod.run_id or pod.name
        """Whose run it is; one that is not believable is nobody's."""
        self.words = own_words(pod)
        """Its labels and annotations of ours, at first sight."""
        self.spec_sha256: str | None = None
        """Of its spec when it was first seen on a node. None before: nothing runs yet, and schedulers may change it."""
        self.running_since: datetime | None = None
        self.proven = False
        """Whether the journal holds the run's self-check."""
        self.over = False
        """Whether it was seen to be gone, of which the watch may hear later."""

    def look(self, pod: PodView, now: datetime) -> None:
        """Take in how it is now."""
        if pod.node is not None and self.spec_sha256 is None:
            self.spec_sha256 = pod.spec_sha256
        if pod.running and self.running_since is None:
            self.running_since = now

    def awaits_proof(self, now: datetime) -> bool:
        """Whether the run should have proved its isolation by now, and is not known to have."""
        return not self.proven and _has_passed(self.running_since, PROVEN_WITHIN, now)


class Sight(NamedTuple):
    """A pod that is alive, as it is now and as it was."""

    pod: PodView
    seen: PodSeen
    missing: frozenset[Wall]
    """Of its namespace."""
    now: datetime


def own_words(pod: PodView) -> dict[str, str]:
    """Labels and annotations of ours. Network plugins and others put theirs beside them."""
    words = {**pod.labels, **pod.annotations}
    return {name: word for name, word in words.items() if name.startswith("airlock/") or name == LABEL_MANAGED_BY}


def restarted(sight: Sight) -> bool:
    """`restartPolicy` is Never, so that somebody has seen to it."""
    return sight.pod.restarts > 0


def changed(sight: Sight) -> bool:
    """Since first sight in anything, or from what was ordered in what matters."""
    pod, seen = sight.pod, sight.seen
    lasts = own_words(pod) == seen.words and seen.spec_sha256 in {None, pod.spec_sha256}
    return not lasts or pod.run_id is None or pod.annotations.get(ANNOTATION_LASTING) != pod.lasting_sha256


def deadline_passed(sight: Sight) -> bool:
    """A kubelet that does not answer enforces no deadline, and nor does one whose pod has none."""
    if sight.pod.deadline_seconds is None:
        return True
    allowed = timedelta(seconds=sight.pod.deadline_seconds) + DEADLINE_SLACK
    return _has_passed(sight.seen.running_since, allowed, sight.now) or _has_passed(
        sight.pod.started_at, allowed + CLOCKS_DIFFER_BY, sight.now
    )


def lease_expired(sight: Sight) -> bool:
    """Whoever started it promised to be done by then."""
    try:
        until = datetime.fromisoformat(sight.pod.annotations[ANNOTATION_LEASE])
        return _has_passed(until, CLOCKS_DIFFER_BY, sight.now)
    except (KeyError, ValueError, TypeError):  # none, no time, or one without a zone
        return True


def unproven(sight: Sight) -> bool:
    """The script must not have begun then, and what runs instead is not known."""
    return sight.seen.awaits_proof(sight.now)


def network_open(sight: Sight) -> bool:
    """The script's own filter still stands. That is one wall, where two were asked for."""
    return Wall.NETWORK_POLICY in sight.missing


def unbounded(sight: Sight) -> bool:
    """Each pod has limits; what all of them may take together has none."""
    return Wall.RESOURCE_QUOTA in sight.missing


LOOKS: Mapping[Reason, Callable[[Sight], bool]] = MappingProxyType(
    {
        Reason.RESTARTED: restarted,
        Reason.CHANGED: changed,
        Reason.NETWORK_OPEN: network_open,
        Reason.UNBOUNDED: unbounded,
        Reason.DEADLINE_PASSED: deadline_passed,
        Reason.LEASE_EXPIRED: lease_expired,
        Reason.UNPROVEN: unproven,
    }
)
"""What a watch may show of a pod that is alive, the gravest first: it is the one that is told."""


def why_to_end_pod(
    pod: PodView, seen: PodSeen, owner: RunOwner | None, missing: frozenset[Wall], now: datetime
) -> Reason | None:
    """The reason why a pod must not be there; None while it may. What its evaluation says comes first."""
    reason = why_to_end(seen.run_id, seen, owner, now)
    if reason is not None or pod.ended or pod.deleting:
        return reason
    if owner is not None and (owner.stopped_at is not None or is_terminal(owner.status)):
        return None  # it is being ended, and has its patience
    sight = Sight(pod, seen, missing, now)
    return next((reason for reason, shows in LOOKS.items() if shows(sight)), None)


def _has_passed(since: datetime | None, time: timedelta, now: datetime) -> bool:
    return since is not None and now - since >= time
