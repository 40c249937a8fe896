"""What is seen of a pod, and the act: each pair of the table, and which of them comes first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest

from domain.lifecycle import Status
from domain.runs import RunPurpose, RunRequest
from sandbox.kubernetes.manifest import ANNOTATION_LEASE, Placement, PodImage, manifest
from sandbox.kubernetes.pod_view import PodView, view_of
from sandbox.kubernetes.walls import Wall
from storage.oversight import RunOwner
from tests.storage.rows import RUN, later
from worker.pod_reasons import (
    ACTS,
    CLOCKS_DIFFER_BY,
    DEADLINE_SLACK,
    LOOKS,
    PROVEN_WITHIN,
    Act,
    PodSeen,
    why_to_end_pod,
)
from worker.reasons import END_PATIENCE, STOP_PATIENCE, Reason

Change = Callable[[dict[str, Any]], object]

BEGUN = later(5)
SECOND = timedelta(seconds=1)
RUNNING = RunOwner(
    status=Status.EXECUTING, ended_at=None, stopped_at=None, timeout_seconds=300, begun_at=BEGUN, worker="elsewhere"
)
PLACEMENT = Placement(namespace="executions", images={"default": PodImage(reference=f"a/b@sha256:{'a' * 64}")})
REQUEST = RunRequest(
    run_id=RUN,
    purpose=RunPurpose.EXECUTION,
    script=b"print(1)",
    model_id="m",
    environment="default",
    timeout_seconds=300,
)
DEADLINE = timedelta(seconds=330)


def a_pod(**status: Any) -> dict[str, Any]:
    """As the cluster tells of it: with what admission and the scheduler have added."""
    pod = manifest(REQUEST, PLACEMENT, "attempt", BEGUN)
    pod["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    pod["spec"] |= {"nodeName": "node", "schedulerName": "default-scheduler", "priority": 0}
    pod["spec"]["containers"][0]["terminationMessagePath"] = "/dev/termination-log"
    del pod["spec"]["containers"][0]["stdinOnce"]  # it was false
    running: dict[str, Any] = {"state": {"running": {}}, "restartCount": 0}
    pod["status"] = {"phase": "Running", "containerStatuses": [{**running, **status}]}
    return pod


POD = view_of(a_pod())


def first_seen(pod: PodView = POD, at: datetime = BEGUN, *, proven: bool = True) -> PodSeen:
    seen = PodSeen(pod, at)
    seen.look(pod, at)
    seen.proven = proven
    return seen


def reason_for(
    pod: PodView = POD,
    after: timedelta = SECOND,
    owner: RunOwner | None = RUNNING,
    missing: frozenset[Wall] = frozenset(),
    seen: PodSeen | None = None,
) -> Reason | None:
    return why_to_end_pod(pod, seen or first_seen(), owner, missing, BEGUN + after)


def changed(change: Change) -> PodView:
    pod = a_pod()
    change(pod)
    return view_of(pod)


def test_a_pod_as_it_was_ordered_may_go_on() -> None:
    assert reason_for() is None
    assert reason_for(after=timedelta(seconds=300)) is None


def test_every_reason_has_an_act_and_every_sight_a_look() -> None:
    assert set(ACTS) == set(Reason)
    assert {reason for reason, act in ACTS.items() if act is Act.STOP} == set(LOOKS)


def test_a_container_that_was_started_again() -> None:
    assert reason_for(view_of(a_pod(restartCount=1))) is Reason.RESTARTED


CHANGED_WHILE_WATCHED: list[Change] = [
    lambda pod: pod["spec"]["containers"][0].update(image="other"),
    lambda pod: pod["spec"].update(activeDeadlineSeconds=3600),
    lambda pod: pod["spec"].update(ephemeralContainers=[{"name": "debugger"}]),
    lambda pod: pod["spec"]["tolerations"].append({"operator": "Exists"}),
    lambda pod: pod["spec"]["containers"][0]["resources"]["limits"].update(cpu="64"),
    lambda pod: pod["metadata"]["annotations"].update({ANNOTATION_LEASE: later(99_999).isoformat()}),
    lambda pod: pod["metadata"]["annotations"].update({"airlock/run": "another"}),
    lambda pod: pod["metadata"].update(annotations={}),
    lambda pod: pod["metadata"].update(labels={}),
]


@pytest.mark.parametrize("change", CHANGED_WHILE_WATCHED)
def test_a_pod_that_was_changed_while_it_was_watched(change: Change) -> None:
    assert reason_for(changed(change)) is Reason.CHANGED


CHANGED_BEFORE: list[Change] = [
    lambda pod: pod["spec"]["containers"][0].update(image="other"),
    lambda pod: pod["spec"]["containers"].append({"name": "injected", "image": "other"}),
    lambda pod: pod["spec"].update(initContainers=[{"name": "injected", "image": "other"}]),
    lambda pod: pod["spec"].update(hostUsers=True),
]


@pytest.mark.parametrize("change", CHANGED_BEFORE)
def test_a_pod_that_was_changed_before_anybody_watched_it(change: Change) -> None:
    pod = changed(change)

    assert reason_for(pod, seen=first_seen(pod)) is Reason.CHANGED


def test_what_others_write_beside_it_is_no_change() -> None:
    def note(pod: dict[str, Any]) -> None:
        pod["metadata"]["annotations"]["cni.projectcalico.org/podIP"] = "10.0.0.1"
        pod["metadata"]["labels"]["topology"] = "here"

    assert reason_for(changed(note)) is None


def test_a_scheduler_may_change_what_does_not_run_yet() -> None:
    def wait(pod: dict[str, Any]) -> None:
        pod["spec"] |= {"nodeName": None, "schedulingGates": [{"name": "queue"}]}
        pod["status"] = {"phase": "Pending"}

    seen = first_seen(changed(wait))
    seen.look(POD, BEGUN)

    assert reason_for(seen=seen) is None


def test_a_deadline_is_counted_from_when_it_was_seen_to_run() -> None:
    assert reason_for(after=DEADLINE + DEADLINE_SLACK - SECOND) is None
    assert reason_for(after=DEADLINE + DEADLINE_SLACK) is Reason.DEADLINE_PASSED


def test_another_machines_clock_counts_only_when_it_is_far_past() -> None:
    pod = POD.model_copy(update={"started_at": BEGUN - DEADLINE - DEADLINE_SLACK - CLOCKS_DIFFER_BY})

    assert reason_for(pod, after=-SECOND) is None
    assert reason_for(pod, after=timedelta()) is Reason.DEADLINE_PASSED


def test_a_pod_without_a_deadline_has_none_to_keep() -> None:
    pod = POD.model_copy(update={"deadline_seconds": None})

    assert reason_for(pod) is Reason.DEADLINE_PASSED


def test_a_lease_that_is_over() -> None:
    pod = POD.model_copy(update={"running": False})  # it never began, so that no other clock runs
    until = datetime.fromisoformat(pod.annotations[ANNOTATION_LEASE]) - BEGUN
    owner = RUNNING._replace(begun_at=BEGUN + timedelta(days=1))

    seen = first_seen(pod)

    assert reason_for(pod, after=until + CLOCKS_DIFFER_BY - SECOND, owner=owner, seen=seen) is None
    assert reason_for(pod, after=until + CLOCKS_DIFFER_BY, owner=owner, seen=seen) is Reason.LEASE_EXPIRED


@pytest.mark.parametrize("until", [None, "", "never", "2026-01-01T00:00:00"])
def test_a_lease_that_cannot_be_read_is_over(until: str | None) -> None:
    words = {**POD.annotations, ANNOTATION_LEASE: until}
    pod = POD.model_copy(update={"annotations": {name: word for name, word in words.items() if word is not None}})

    assert reason_for(pod, seen=first_seen(pod)) is Reason.LEASE_EXPIRED


def test_a_run_has_its_time_to_prove_its_isolation() -> None:
    seen = first_seen(proven=False)

    assert reason_for(after=PROVEN_WITHIN - SECOND, seen=seen) is None
    assert reason_for(after=PROVEN_WITHIN, seen=seen) is Reason.UNPROVEN


@pytest.mark.parametrize(
    ("wall", "reason"), [(Wall.NETWORK_POLICY, Reason.NETWORK_OPEN), (Wall.RESOURCE_QUOTA, Reason.UNBOUNDED)]
)
def test_a_wall_around_the_pods_that_does_not_stand(wall: Wall, reason: Reason) -> None:
    assert reason_for(missing=frozenset({wall})) is reason


STATES: dict[Reason, dict[str, Any]] = {
    Reason.RESTARTED: {"restarts": 1},
    Reason.CHANGED: {"lasting_sha256": "other"},
    Reason.NETWORK_OPEN: {},
    Reason.UNBOUNDED: {},
    Reason.DEADLINE_PASSED: {"deadline_seconds": None},
    Reason.LEASE_EXPIRED: {},
    Reason.UNPROVEN: {},
}


@pytest.mark.parametrize(("graver", "other"), list(combinations(STATES, 2)))
def test_of_two_reasons_the_graver_is_told(graver: Reason, other: Reason) -> None:
    shown, both = {graver, other}, {**STATES[graver], **STATES[other]}
    if Reason.LEASE_EXPIRED in shown:
        both["annotations"] = {**POD.annotations, ANNOTATION_LEASE: "never"}
    pod = POD.model_copy(update=both)
    walls = {Reason.NETWORK_OPEN: Wall.NETWORK_POLICY, Reason.UNBOUNDED: Wall.RESOURCE_QUOTA}
    missing = frozenset(walls[reason] for reason in shown if reason in walls)
    seen = first_seen(pod, proven=Reason.UNPROVEN not in shown)

    assert reason_for(pod, PROVEN_WITHIN, missing=missing, seen=seen) is graver


@pytest.mark.parametrize("state", [{"phase": "Succeeded", "running": False}, {"deleting": True}])
def test_a_pod_that_ends_is_left_to_its_worker(state: dict[str, Any]) -> None:
    pod = POD.model_copy(update={**state, "restarts": 1})

    assert reason_for(pod) is None


def test_what_its_evaluation_says_comes_first() -> None:
    pod = POD.model_copy(update={"restarts": 1})
    stopping = RUNNING._replace(status=Status.STOPPING, stopped_at=BEGUN)
    ended = RUNNING._replace(status=Status.ERROR, ended_at=BEGUN)

    assert reason_for(pod, owner=None) is Reason.OWNERLESS
    assert reason_for(pod, STOP_PATIENCE - SECOND, stopping) is None
    assert reason_for(pod, STOP_PATIENCE, stopping) is Reason.STOP_ORDERED
    assert reason_for(pod, END_PATIENCE - SECOND, ended) is None
    assert reason_for(pod, END_PATIENCE, ended) is Reason.ENDED


def test_a_pod_that_ended_with_its_evaluation_is_taken_away_too() -> None:
    pod = POD.model_copy(update={"phase": "Failed", "running": False})

    assert reason_for(pod, END_PATIENCE, RUNNING._replace(status=Status.ERROR, ended_at=BEGUN)) is Reason.ENDED
