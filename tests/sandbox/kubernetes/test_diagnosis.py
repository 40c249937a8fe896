"""Each way a pod goes wrong, on statuses that were captured from a real cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.errors import (
    ImageUnavailable,
    NodeLost,
    PodRefused,
    RunnerLost,
    SandboxUnavailable,
    Unschedulable,
)
from domain.outcomes import RunOutcome
from sandbox.kubernetes.diagnosis import FATES, Cause, Diagnosis, diagnose, refusal
from sandbox.kubernetes.pod_view import PodView, Terminated, view_of, with_events

CAPTURED = Path(__file__).parent / "captured"


def captured(name: str) -> PodView:
    kept = json.loads((CAPTURED / f"{name}.json").read_text())
    return with_events(view_of(kept["pod"]), kept["events"])


def diagnosed(name: str) -> Diagnosis:
    diagnosis = diagnose(captured(name))
    assert diagnosis is not None
    return diagnosis


@pytest.mark.parametrize("name", [path.stem for path in sorted(CAPTURED.glob("*.json"))])
def test_every_captured_status_has_one_diagnosis_or_is_a_running_pod(name: str) -> None:
    assert (diagnose(captured(name)) is None) == (name == "running")


def test_the_memory_kill_of_a_child_is_a_memory_limit_although_the_pod_succeeded_with_exit_code_0() -> None:
    pod, diagnosis = captured("oom_of_a_child"), diagnosed("oom_of_a_child")

    assert (pod.phase, pod.terminated and pod.terminated.exit_code) == ("Succeeded", 0)
    assert (diagnosis.cause, diagnosis.outcome) == (Cause.OUT_OF_MEMORY, RunOutcome.MEMORY_LIMIT)


def test_the_memory_kill_of_the_runner_is_a_memory_limit() -> None:
    diagnosis = diagnosed("oom_of_pid_1")

    assert (diagnosis.outcome, diagnosis.exit_code) == (RunOutcome.MEMORY_LIMIT, 137)


def test_an_eviction_for_the_pods_own_disk_is_a_disk_limit_and_not_its_exit_code() -> None:
    diagnosis = diagnosed("evicted_for_its_disk")

    assert (diagnosis.cause, diagnosis.outcome) == (Cause.EVICTED, RunOutcome.DISK_LIMIT)


def test_every_cause_has_a_fate() -> None:
    assert set(FATES) == set(Cause)


@pytest.mark.parametrize(
    "words",
    [
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi.",
        "The node was low on resource: ephemeral-storage. Container script was using 5Mi, request is 128Mi.",
        "",
    ],
)
def test_an_eviction_for_the_nodes_need_is_not_the_scripts_doing(words: str) -> None:
    diagnosis = diagnose(PodView(name="p", uid="u", phase="Failed", reason="Evicted", message=words))

    assert diagnosis is not None
    assert (diagnosis.cause, diagnosis.outcome) == (Cause.DISPLACED, None)
    assert isinstance(diagnosis.as_error(), RunnerLost)


@pytest.mark.parametrize("ended", [None, Terminated(exit_code=1, reason="Error")])
def test_a_pod_that_the_cluster_displaces_is_nobodys_order_and_not_the_scripts_doing(ended: Terminated | None) -> None:
    pod = captured("displaced").model_copy(update={"terminated": ended, "running": ended is None, "gone": True})
    diagnosis = diagnose(pod)

    assert diagnosis is not None
    assert (diagnosis.cause, diagnosis.outcome) == (Cause.DISPLACED, None)
    assert "EvictionByEvictionAPI" in diagnosis.words


def test_what_ended_for_its_memory_before_it_was_displaced_ended_for_its_memory() -> None:
    pod = captured("displaced").model_copy(update={"terminated": Terminated(exit_code=137, reason="OOMKilled")})
    diagnosis = diagnose(pod)

    assert diagnosis is not None
    assert diagnosis.cause is Cause.OUT_OF_MEMORY


def test_a_passed_deadline_is_a_timeout_and_not_its_exit_code() -> None:
    diagnosis = diagnosed("deadline")

    assert (diagnosis.cause, diagnosis.outcome) == (Cause.DEADLINE, RunOutcome.TIMED_OUT)


@pytest.mark.parametrize(("name", "code"), [("exit_zero", 0), ("exit_three", 3)])
def test_a_runner_that_left_says_nothing_about_the_script_without_its_receipt(name: str, code: int) -> None:
    diagnosis = diagnosed(name)

    assert (diagnosis.cause, diagnosis.outcome, diagnosis.exit_code) == (Cause.EXITED, None, code)
    assert isinstance(diagnosis.as_error(), RunnerLost)


@pytest.mark.parametrize("name", ["image_never_pulled", "image_pull_failed", "image_pull_back_off"])
def test_an_image_that_is_not_there_fails_at_once(name: str) -> None:
    diagnosis = diagnosed(name)

    assert not diagnosis.may_pass
    assert isinstance(diagnosis.as_error(), ImageUnavailable)


def not_pulled(message: str) -> Diagnosis:
    pod = captured("image_pull_failed")
    assert pod.waiting is not None
    diagnosis = diagnose(pod.model_copy(update={"waiting": pod.waiting.model_copy(update={"message": message})}))
    assert diagnosis is not None
    return diagnosis


@pytest.mark.parametrize(
    "words",
    [
        "429 toomanyrequests",
        "unexpected status from HEAD request: 429 Too Many Requests - Server message: toomanyrequests: pull rate limit",
        "pull QPS exceeded",
        "received unexpected HTTP status: 500 Internal Server Error",
        "unexpected status code [manifests 1.0]: 502 Bad Gateway",
        "unexpected status from GET request: 503 Service Unavailable",
        "unexpected status from GET request: 504 Gateway Timeout",
        "dial tcp: i/o timeout",
        "net/http: TLS handshake timeout",
    ],
)
def test_an_image_whose_registry_is_busy_gets_its_time(words: str) -> None:
    diagnosis = not_pulled(f'failed to pull image "airlock/runner:1.0": {words}')

    assert diagnosis.may_pass


@pytest.mark.parametrize(
    "image", ["registry:5000/airlock/runner:1.0", "airlock/runner:502", f"airlock/runner@sha256:{'503429500' * 7}0"]
)
def test_numbers_in_the_name_of_a_missing_image_do_not_make_it_wait(image: str) -> None:
    diagnosis = not_pulled(f'failed to pull and unpack image "{image}": failed to resolve reference: not found')

    assert not diagnosis.may_pass


def test_a_pod_that_no_node_takes_waits_and_then_is_unschedulable() -> None:
    diagnosis = diagnosed("unschedulable")

    assert diagnosis.may_pass
    assert isinstance(diagnosis.as_error(), Unschedulable)
    assert "Insufficient cpu" in diagnosis.words


@pytest.mark.parametrize(("name", "word"), [("missing_config", "FailedMount"), ("no_such_runtime", "no runtime for")])
def test_a_pod_that_is_creating_for_ever_is_explained_by_its_events(name: str, word: str) -> None:
    diagnosis = diagnosed(name)

    assert word in diagnosis.words
    assert isinstance(diagnosis.as_error(), SandboxUnavailable)


def test_a_pod_that_is_creating_without_events_is_not_diagnosed() -> None:
    quiet = captured("missing_config").model_copy(update={"troubles": ()})

    assert diagnose(quiet) is None


def test_a_command_that_cannot_be_started_is_ours() -> None:
    diagnosis = diagnosed("start_error")

    assert (diagnosis.cause, diagnosis.outcome) == (Cause.START_ERROR, None)
    assert isinstance(diagnosis.as_error(), SandboxUnavailable)


def test_a_lost_node_leaves_its_pod_running_and_not_ready() -> None:
    pod, diagnosis = captured("node_lost"), diagnosed("node_lost")

    assert (pod.phase, pod.running) == ("Running", True)
    assert diagnosis.may_pass
    assert isinstance(diagnosis.as_error(), NodeLost)
    assert not diagnosis.as_error().retryable


def test_a_deletion_comes_before_everything_but_an_end() -> None:
    deleting = captured("deleting")
    ended = deleting.model_copy(update={"running": False, "terminated": Terminated(exit_code=0, reason="OOMKilled")})

    diagnoses = (diagnose(deleting), diagnose(ended))

    assert [each and each.cause for each in diagnoses] == [Cause.DELETED, Cause.OUT_OF_MEMORY]


@pytest.mark.parametrize(
    ("code", "words", "error"),
    [
        (403, 'pods "ev-1" is forbidden: exceeded quota: runs, requested: pods=1, used: pods=9', Unschedulable),
        (403, 'pods "ev-1" is forbidden: violates PodSecurity "restricted:latest": privileged', PodRefused),
        (403, 'pods is forbidden: User "worker" cannot create resource "pods"', PodRefused),
        (422, "ValidatingAdmissionPolicy 'airlock' denied request: with grace 0 ...", PodRefused),
        (403, 'pods "ev-1" is forbidden: error looking up service account a/b: not found', PodRefused),
    ],
)
def test_of_what_is_forbidden_the_quotas_refusal_alone_may_pass(code: int, words: str, error: type[Exception]) -> None:
    refused = refusal(code, words)

    assert type(refused) is error
    assert refused.retryable is (error is Unschedulable)


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (401, "it does not know this user, or not any more (Unauthorized)", "does not know this worker's user"),
        (404, 'namespaces "airlock-executions" not found', "the namespace of the pod is not there"),
        (403, "unable to create new content in namespace a because it is being terminated", "is being removed"),
    ],
)
def test_a_cluster_that_has_lost_something_is_not_said_to_forbid_it(code: int, words: str, said: str) -> None:
    refused = refusal(code, words)

    assert type(refused) is SandboxUnavailable
    assert said in refused.message
